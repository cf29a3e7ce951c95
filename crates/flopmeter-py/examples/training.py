"""A step of training: MFU, HFU and tokens a second."""

import flopmeter

model = flopmeter.Model("meta-llama/Llama-3.1-8B")
step = model.train_step(sequence=8192, batch=32, recompute="full")
measured = step.utilization("NVIDIA H100 80GB HBM3", seconds=5.9, devices=8)
assert measured.mfu is not None and measured.hfu is not None
print(f"MFU {measured.mfu:.1%}, HFU {measured.hfu:.1%}")
# What the same step is by the formulas of two projects, and why their figures cannot be compared.
for convention in ("megatron", "torchtitan"):
    flops: int = model.train_step(sequence=8192, batch=32, convention=convention).total
    print(convention, flops)
