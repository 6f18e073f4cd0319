-- How each generator here begins: with settings, a transaction, and a look at
-- whether the table is its own. The table's name is in :table.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

BEGIN;
SET LOCAL lock_timeout = '10s';

SELECT set_config('csvexport.seed', :'table', true) AS seed \gset
DO $$
DECLARE
    name TEXT := current_setting('csvexport.seed');
BEGIN
    IF to_regclass(name) IS NOT NULL
       AND coalesce(obj_description(to_regclass(name), 'pg_class'), '') NOT LIKE 'csvexport seed 1, % rows' THEN
        RAISE EXCEPTION 'there is a table "%" that this generator did not make; nothing was changed', name
            USING HINT = 'Name another database, or drop or rename that table.';
    END IF;
END
$$;
