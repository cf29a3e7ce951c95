"""FLOPs of each row of a Polars frame."""

import polars

import flopmeter

llama = flopmeter.Model("meta-llama/Llama-3.1-8B")
log = polars.DataFrame({"prompt": [1024, 8192, None], "generate": [256, 1, 7]})
log = log.with_columns(
    polars.struct("prompt", "generate")
    .map_batches(
        lambda rows: flopmeter.flops_array(llama, rows.struct["prompt"], rows.struct["generate"]),
        return_dtype=polars.UInt64,
    )
    .alias("flops")
)
print(log)
assert log["flops"].to_list() == [18_551_238_819_840, 131_944_593_489_920, None]
