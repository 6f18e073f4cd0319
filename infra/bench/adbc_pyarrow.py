"""Writes the users table as gzip'd CSV, which is thrown away, with ADBC and
pyarrow: record batches from Postgres's binary COPY, written by Arrow's own
CSV writer. The connection is libpq's, by PGHOST and so on.
"""

import gzip
import os

import adbc_driver_postgresql.dbapi
import pyarrow
import pyarrow.csv


def plain(type):
    """The type as the CSV writer knows it: NUMERIC comes as an extension of string."""
    return type.storage_type if isinstance(type, pyarrow.BaseExtensionType) else type


with (
    adbc_driver_postgresql.dbapi.connect("postgresql://") as connection,
    connection.cursor() as cursor,
    gzip.open(os.devnull, "wb", compresslevel=1) as out,
):
    cursor.execute("SELECT * FROM users ORDER BY id")
    batches = cursor.fetch_record_batch()
    schema = pyarrow.schema([(field.name, plain(field.type)) for field in batches.schema])
    with pyarrow.csv.CSVWriter(out, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
