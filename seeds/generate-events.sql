-- Makes the events table with exactly :rows rows. For psql:
--
--     psql -X -v rows=1000000 -f seeds/generate-events.sql DATABASE_URL
--
-- What tracking writes: a UUID as the key, in no order, and columns of jsonb,
-- text[] and integer[]. Each row is of a tenant. Row i is the same on every
-- server and for every number of rows. All is one transaction, and a table of
-- that name that this file did not make is left alone.

\set table events
\ir begin.sql

SELECT coalesce(obj_description(to_regclass('events'), 'pg_class'), '') <> format('csvexport seed 1, %s rows', :rows::bigint) AS changes \gset
\if :changes
    DROP TABLE IF EXISTS events;
    CREATE TABLE events (
        id         UUID NOT NULL,
        tenant_id  TEXT NOT NULL,
        kind       VARCHAR(30) NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        source     TEXT,
        payload    JSONB NOT NULL,
        tags       TEXT[],
        scores     INTEGER[] NOT NULL
    );

    INSERT INTO events
    SELECT
        encode(substr(h, 1, 16), 'hex')::uuid,
        (ARRAY['acme', 'globex', 'initech', 'o''neil & co'])[1 + b % 4],
        (ARRAY['page_view', 'click', 'sign_up', 'purchase', 'refund_50%', 'log\out'])[1 + c % 6],
        timestamptz '2024-01-01 00:00:00+00' + i * interval '37 seconds' + (a % 1000000) * interval '1 microsecond',
        CASE WHEN c % 5 > 0 THEN (ARRAY['web', 'ios', 'android', 'import, "old"'])[1 + a % 4] END,
        jsonb_build_object(
            'path', '/p/' || a, 'n', i, 'ok', b % 2 = 0, 'ratio', (c % 1000) * 0.001,
            'note', (ARRAY['', 'a "quoted" word', E'two\nlines', 'Zoë 🚀', 'C:\x', 'a,b;c'])[1 + a % 6],
            'nested', jsonb_build_object('list', jsonb_build_array(b, NULL, 'x'))),
        CASE c % 7
            WHEN 0 THEN NULL
            WHEN 1 THEN '{}'
            WHEN 2 THEN ARRAY['a b', 'c,d', 'e"f', 'g\h', NULL, '', 'NULL']
            ELSE ARRAY['t' || a % 10, 't' || b % 10]
        END,
        ARRAY[a, -b, NULL, c]
    FROM (
        SELECT i, h,
               get_byte(h, 16) * 256 + get_byte(h, 17) AS a,
               get_byte(h, 18) * 256 + get_byte(h, 19) AS b,
               get_byte(h, 20) * 256 + get_byte(h, 21) AS c
        FROM (SELECT i, sha256(convert_to('event ' || i, 'UTF8')) AS h FROM generate_series(1, :rows::bigint) AS i OFFSET 0) AS hashed
        OFFSET 0
    ) AS row;

    ALTER TABLE events ADD PRIMARY KEY (id);
    CREATE INDEX events_tenant_id_idx ON events (tenant_id);
    CREATE INDEX events_kind_idx ON events (kind);
    CREATE INDEX events_created_at_idx ON events (created_at);
    SELECT format('COMMENT ON TABLE events IS %L', format('csvexport seed 1, %s rows', :rows::bigint)) \gexec
\endif
COMMIT;

\if :changes
    VACUUM (ANALYZE) events;
\endif
