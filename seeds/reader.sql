-- Makes the role that exports read your database with, or brings it up to date.
-- For psql, in the database to export, by a role that may create roles and owns
-- the tables (a superuser, or RDS's master user who made them):
--
--     psql -X -v role=csv_export -v tables=public.users,shop.orders -f seeds/reader.sql DATABASE_URL
--
-- The variables:
--
--     role         its name
--     tables       tables and views of your datasets, as SQL writes them, separated by commas
--     password     its password. Better without, and then by psql's \password: this one shows in the shell's history
--     connections  its CONNECTION LIMIT: at least MaximumConcurrency x (ExportConnections + 2), and a few for estimates and health; -1, the default, for none
--
-- The role may log in and SELECT from those tables and their partitions, and
-- nothing else; what it has of other tables in this database is taken away.
-- Members of other roles inherit nothing (NOINHERIT). All is one transaction.
-- What PUBLIC may, the role may too: a warning names it.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
\if :{?connections}
\else
    \set connections -1
\endif
\if :{?tables}
\else
    \set tables ''
\endif

BEGIN;
SET LOCAL lock_timeout = '10s';
SELECT set_config('csvexport.role', :'role', true) AS role \gset reader_

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS missing \gset reader_
\if :reader_missing
    CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
\endif
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = current_setting('csvexport.role')
               AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)) THEN
        RAISE EXCEPTION 'the role "%" may do more than read; nothing was changed', current_setting('csvexport.role')
            USING HINT = 'Name another role, which this script makes.';
    END IF;
END
$$;
ALTER ROLE :"role" LOGIN NOINHERIT CONNECTION LIMIT :connections;
\if :{?password}
    ALTER ROLE :"role" PASSWORD :'password';
\endif
-- A guard against mistakes; what keeps the role from writing is that it has no right to.
ALTER ROLE :"role" SET default_transaction_read_only = on;

SELECT format('REVOKE ALL ON %s FROM %I', c.oid::regclass, :'role')
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.grantee = :'role'::regrole
GROUP BY c.oid \gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
CREATE TEMPORARY TABLE exported ON COMMIT DROP AS
SELECT trim(name)::regclass AS relation FROM unnest(string_to_array(:'tables', ',')) AS name WHERE trim(name) <> '';
SELECT DISTINCT format('GRANT USAGE ON SCHEMA %s TO %I', c.relnamespace::regnamespace, :'role')
FROM exported JOIN pg_class c ON c.oid = relation \gexec
-- Partitions too: an export reads them by their own names, several at once.
SELECT DISTINCT format('GRANT SELECT ON %s TO %I', coalesce(part.relid, relation), :'role')
FROM exported LEFT JOIN LATERAL pg_partition_tree(relation) AS part ON true \gexec

DO $$
DECLARE
    schema TEXT;
BEGIN
    FOR schema IN SELECT oid::regnamespace FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' AND has_schema_privilege(current_setting('csvexport.role'), oid, 'CREATE') LOOP
        RAISE WARNING 'everybody may create in schema %, so the role may too', schema
            USING HINT = format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC', schema);
    END LOOP;
END
$$;
COMMIT;
