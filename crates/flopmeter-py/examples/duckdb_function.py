"""FLOPs as a function of SQL in DuckDB."""

import duckdb
from duckdb.func import PythonUDFType
import pyarrow

import flopmeter

llama = flopmeter.Model("meta-llama/Llama-3.1-8B")


def llama_flops(prompt: pyarrow.Array, generate: pyarrow.Array) -> pyarrow.Array:
    """Called with columns of some thousand rows."""
    flops: pyarrow.Array = flopmeter.flops_array(llama, prompt, generate)
    return flops


database = duckdb.connect()
database.create_function("llama_flops", llama_flops, ["BIGINT", "BIGINT"], "UBIGINT", type=PythonUDFType.ARROW)
rows = database.sql(
    "select llama_flops(prompt, generate) from (values (1024, 256), (8192, 1)) log(prompt, generate)"
).fetchall()
print(rows)
assert rows == [(18_551_238_819_840,), (131_944_593_489_920,)]
