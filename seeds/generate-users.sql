-- Fills the users table with exactly :rows rows, ids 1 to :rows. For psql:
--
--     psql -X -v rows=1000000 -f seeds/generate-users.sql DATABASE_URL
--
-- Row i depends on i alone, so that a larger table begins with the rows of a
-- smaller one, on every server. All is one transaction: an interrupted run
-- changes nothing. A table of that name that this file did not make is left
-- alone; ours is known by its comment, which also tells its rows.

\set table users
\ir begin.sql

-- What is there already: all the rows, or all but a few, are kept and extended.
-- Anything else is made anew, which is faster than adding many rows to indexes.
SELECT to_regclass('users') IS NOT NULL AS exists \gset
\set have 0
\if :exists
    SELECT CASE WHEN count(*) = coalesce(max(id), 0) AND count(*) <= :rows AND :rows - count(*) <= count(*) / 4
                     AND obj_description('users'::regclass, 'pg_class') = format('csvexport seed 1, %s rows', count(*))
                THEN count(*) ELSE 0 END AS have
    FROM users \gset
\endif
SELECT :have = 0 AS fresh, :have < :rows OR :rows = 0 AS changes \gset
\if :fresh
    DROP TABLE IF EXISTS users;
    \ir users.sql

    -- Loading comes first, indexes and constraints come after: several times faster.
    CREATE TEMPORARY TABLE postponed ON COMMIT DROP AS
    SELECT format('ALTER TABLE users DROP CONSTRAINT %I', conname) AS remove,
           format('ALTER TABLE users ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) AS restore
    FROM pg_constraint
    WHERE conrelid = 'users'::regclass AND contype IN ('p', 'u')
    UNION ALL
    SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE indrelid = 'users'::regclass
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);
    SELECT remove FROM postponed \gexec
\endif

-- Integer arithmetic only: hash functions may change between servers' versions.
-- Every product stays below 2^63, since one factor is below 2^32 and the other below 2^31.
INSERT INTO users (id, name, email, signup_date, country_code, subscription_tier, lifetime_value)
SELECT
    i,
    CASE
        WHEN i % 23 <> 7 THEN first || ' ' || last
        ELSE (ARRAY[
            last || ', ' || first,
            first || ' "Ace" ' || last,
            first || E'\n' || last,
            first || E'\r\nc/o ' || last,
            first || E'\t' || last,
            'Zoë Müller-' || last,
            'José Ñúñez y ' || last,
            'Łukasz Žižka',
            '王小明',
            'Мария ' || last,
            'محمد ' || last,
            '𠮷野 ' || last,
            first || ' 🚀🏳️‍🌈',
            E'Ame\u0301lie ' || last,
            'O''' || last,
            '=SUM(A1:A9)',
            '+' || first,
            '-' || i,
            '@' || last,
            '\N',
            '\.',
            'C:\Users\' || last,
            'NULL',
            '',
            ' ',
            ' ' || first || ' ',
            '"',
            '",""' || E'\n' || '"',
            repeat('x', 255),
            '; DROP TABLE users; --'
        ])[1 + (i / 23) % 30]
    END,
    lower(first) || '.' || translate(lower(last), ' ''', '') || i || '@example.' || (ARRAY['com', 'org', 'net', 'de', 'co.uk'])[1 + (c >> 21) % 5],
    CASE
        WHEN (a >> 3) % 100 < 3 THEN NULL
        ELSE timestamptz '2020-01-01 00:00:00+00' + (b % 215654400) * interval '1 second' -- up to 2026-10-31
             + CASE WHEN (a >> 11) % 4 = 0 THEN (c % 1000000) * interval '1 microsecond' ELSE interval '0' END
    END,
    (ARRAY['US', 'IN', 'GB', 'DE', 'BR', 'FR', 'JP', 'CA', 'ES', 'IT', 'MX', 'AU', 'NL', 'PL', 'SE',
           'KR', 'NG', 'ZA', 'TR', 'CH', 'AT', 'DK', 'PT', 'CZ', 'KE', 'AR', 'NZ', 'IE', 'LU', 'IS'
     ])[1 + ((((c >> 5) & 65535) * ((c >> 5) & 65535) * 30) >> 32)], -- the square makes the first ones common
    CASE
        WHEN (b >> 9) % 1000 < 680 THEN 'free'
        WHEN (b >> 9) % 1000 < 860 THEN 'basic'
        WHEN (b >> 9) % 1000 < 950 THEN 'premium'
        WHEN (b >> 9) % 1000 < 980 THEN 'enterprise'
    END,
    CASE
        WHEN (c >> 3) % 100 < 4 THEN NULL
        WHEN (c >> 3) % 100 < 30 THEN 0.00
        WHEN i % 4999 = 0 THEN 99999.99
        ELSE (((a >> 13) * (a >> 13) * 9999999) >> 38) * 0.01 -- small values are common
    END
FROM (
    SELECT i, a, b, c,
           (ARRAY['Ada', 'Alan', 'Amina', 'Anna', 'Bjarne', 'Carla', 'Chen', 'Daniel', 'Diego', 'Edsger', 'Elena', 'Emma',
                  'Fatima', 'Grace', 'Hans', 'Ines', 'Ivan', 'James', 'Joan', 'Kofi', 'Lea', 'Linus', 'Maria', 'Noah',
                  'Olga', 'Paul', 'Priya', 'Radia', 'Sofia', 'Tim', 'Wei', 'Yuki'])[1 + ((a >> 16) & 31)] AS first,
           (ARRAY['Allen', 'Becker', 'Costa', 'Davis', 'Dijkstra', 'Evans', 'Fischer', 'Garcia', 'Gupta', 'Hansen', 'Hopper', 'Ivanova',
                  'Johnson', 'Kaya', 'Kim', 'Lopez', 'Lovelace', 'Mensah', 'Moreau', 'Nakamura', 'Nguyen', 'Novak', 'O''Brien', 'Okafor',
                  'Perlman', 'Rossi', 'Schmidt', 'Silva', 'Smith', 'Turing', 'van der Berg', 'Wang'])[1 + ((b >> 16) & 31)] AS last
    FROM (
        SELECT i, a, b, ((b # (b >> 15)) * 1103515245 + 12345) & 4294967295 AS c
        FROM (
            SELECT i, a, ((a # (a >> 13)) * 1812433253 + 907633385) & 4294967295 AS b
            FROM (
                SELECT i, (((i * 1597334677) & 4294967295) # (((i * 1597334677) & 4294967295) >> 15)) * 1664525 & 4294967295 AS a
                FROM generate_series(:have + 1, :rows::bigint) AS i
                OFFSET 0 -- each step is computed once, not pasted into the next
            ) AS step1 OFFSET 0
        ) AS step2 OFFSET 0
    ) AS step3 OFFSET 0
) AS row;

\if :fresh
    SELECT restore FROM postponed \gexec
\endif
SELECT setval(pg_get_serial_sequence('users', 'id'), greatest(:rows, 1), :rows > 0) \g /dev/null
SELECT format('COMMENT ON TABLE users IS %L', format('csvexport seed 1, %s rows', :rows::bigint)) \gexec
COMMIT;

\if :changes
    -- Marks the new rows as visible to all, so that the first reader need not write them again.
    VACUUM (ANALYZE) users;
\endif
