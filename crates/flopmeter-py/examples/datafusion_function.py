"""FLOPs as a function of SQL in DataFusion."""

import pyarrow
from datafusion import SessionContext, udf

import flopmeter

llama = flopmeter.Model("meta-llama/Llama-3.1-8B")


def llama_flops(prompt: pyarrow.Array, generate: pyarrow.Array) -> pyarrow.Array:
    """Called with columns of a batch."""
    flops: pyarrow.Array = flopmeter.flops_array(llama, prompt, generate)
    return flops


context = SessionContext()
integer = pyarrow.int64()
context.register_udf(udf(llama_flops, [integer, integer], pyarrow.uint64(), "immutable", name="llama_flops"))
batches = context.sql(
    "select llama_flops(prompt, generate) as flops from (values (1024, 256), (8192, 1)) as log(prompt, generate)"
).collect()
flops = [value for batch in batches for value in batch.column(0).to_pylist()]
print(flops)
assert sorted(flops) == [18_551_238_819_840, 131_944_593_489_920]
