"""Writes the users table as gzip'd CSV, which is thrown away, with pandas.

As its manual has it for tables larger than memory: chunks by a server-side
cursor. The connection is libpq's, by PGHOST and so on.
"""

import gzip
import os

import pandas
import sqlalchemy

engine = sqlalchemy.create_engine("postgresql+psycopg://")
with engine.connect() as connection, gzip.open(os.devnull, "wb", compresslevel=1) as out:
    streaming = connection.execution_options(stream_results=True)
    chunks = pandas.read_sql(sqlalchemy.text("SELECT * FROM users ORDER BY id"), streaming, chunksize=10_000)
    for i, chunk in enumerate(chunks):
        chunk.to_csv(out, index=False, header=i == 0)
