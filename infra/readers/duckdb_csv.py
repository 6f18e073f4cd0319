"""Reads an export of users, packed or not, with DuckDB.

Prints the columns that DuckDB finds by itself, with the number of rows and
the sums of two columns. Then writes all values to a second file: as CSV
without a header in which every value but NULL is quoted.
"""

import sys

import duckdb

source, target = sys.argv[1:]
found = duckdb.read_csv(source)
print(*found.columns)
print(*found.aggregate("count(*), coalesce(sum(id::bigint), 0), coalesce(sum(lifetime_value::decimal(12, 2)), 0)").fetchone())

# As text: DuckDB would write a number or a time in a form of its own.
text = duckdb.read_csv(source, header=True, all_varchar=True, na_values="", allow_quoted_nulls=False)
text.write_csv(target, header=False, quoting="ALL", na_rep="")
