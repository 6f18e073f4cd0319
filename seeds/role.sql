-- Makes the role that the service logs in as, or brings it up to date: it may
-- read the tables of the datasets, and nothing else. For psql, as the tables'
-- owner or a superuser who may create roles:
--
--     psql -X -v role=exporter -v password="$PASSWORD" -v tables='public.users, public.orders' -f seeds/role.sql DATABASE_URL
--
-- The service needs no more (docs/operations.md): it reads system catalogs,
-- which everybody may, and ends its own sessions, which every role may. A table
-- that is partitioned is granted by its parent.

\set ON_ERROR_STOP on
\set QUIET on

BEGIN;

SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

ALTER ROLE :"role" LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD :'password';
ALTER ROLE :"role" SET default_transaction_read_only = on;

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
SELECT DISTINCT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, :'role')
    FROM unnest(string_to_array(:'tables', ',')) AS name
    JOIN pg_class c ON c.oid = trim(name)::regclass
    JOIN pg_namespace n ON n.oid = c.relnamespace \gexec
GRANT SELECT ON :tables TO :"role";

COMMIT;
