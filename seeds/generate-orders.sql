-- Makes the orders table with exactly :rows rows. For psql:
--
--     psql -X -v rows=1000000 -f seeds/generate-orders.sql DATABASE_URL
--
-- What a shop writes: a table with a partition for each month of two years, whose
-- key therefore has two columns, the partitions' own first. Each order is of a
-- tenant. Order i is the same on every server and for every number of rows. All
-- is one transaction, and a table of that name that this file did not make is
-- left alone.

\set table orders
\ir begin.sql

SELECT coalesce(obj_description(to_regclass('orders'), 'pg_class'), '') <> format('csvexport seed 1, %s rows', :rows::bigint) AS changes \gset
\if :changes
    DROP TABLE IF EXISTS orders;
    CREATE TABLE orders (
        id          BIGINT NOT NULL,
        ordered_on  DATE NOT NULL,
        tenant_id   INTEGER NOT NULL,
        customer_id INTEGER NOT NULL,
        status      TEXT NOT NULL,
        paid        BOOLEAN,
        total       NUMERIC(12,2) NOT NULL,
        note        TEXT
    ) PARTITION BY RANGE (ordered_on);
    SELECT format('CREATE TABLE orders_%s PARTITION OF orders FOR VALUES FROM (%L) TO (%L)',
                  to_char(month, 'YYYY_MM'), month::date, (month + interval '1 month')::date)
    FROM generate_series(timestamp '2024-01-01', timestamp '2025-12-01', interval '1 month') AS month \gexec

    -- In the key's order, so that reading by key is reading from front to back.
    INSERT INTO orders
    SELECT
        i,
        ordered_on,
        1 + b % 5,
        1 + a,
        (ARRAY['new', 'shipped', 'delivered', 'returned'])[1 + c % 4],
        CASE WHEN c % 10 > 0 THEN b % 3 > 0 END,
        ((a * 65536::bigint + b) % 10000000) * 0.01,
        CASE WHEN c % 4 = 0 THEN (ARRAY['gift', 'call "before"', E'ring\ntwice', '=1+1', '100%', ''])[1 + b % 6] END
    FROM (
        SELECT i,
               date '2024-01-01' + (get_byte(h, 0) * 256 + get_byte(h, 1)) % 731 AS ordered_on,
               get_byte(h, 2) * 256 + get_byte(h, 3) AS a,
               get_byte(h, 4) * 256 + get_byte(h, 5) AS b,
               get_byte(h, 6) * 256 + get_byte(h, 7) AS c
        FROM (SELECT i, sha256(convert_to('order ' || i, 'UTF8')) AS h FROM generate_series(1, :rows::bigint) AS i OFFSET 0) AS hashed
        OFFSET 0
    ) AS row
    ORDER BY ordered_on, i;

    ALTER TABLE orders ADD PRIMARY KEY (ordered_on, id);
    CREATE INDEX orders_tenant_id_idx ON orders (tenant_id);
    CREATE INDEX orders_status_idx ON orders (status);
    CREATE INDEX orders_total_idx ON orders (total);
    SELECT format('COMMENT ON TABLE orders IS %L', format('csvexport seed 1, %s rows', :rows::bigint)) \gexec
\endif
COMMIT;

\if :changes
    VACUUM (ANALYZE) orders;
\endif
