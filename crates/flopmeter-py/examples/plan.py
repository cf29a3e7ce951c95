"""Which batch and cut of a model serve fastest within a limit, and what each rank then does."""

from flopmeter import Model, compare, sweep

model = Model("Qwen/Qwen3-32B")
swept = sweep(
    model, 4096, 512, batch="1..128x2", tp=[1, 2, 4, 8], device="NVIDIA H100 80GB HBM3", best="throughput-per-device", limit={"tpot": 0.025}
)
best = swept.best
assert best is not None
print(f"batch {best['batch']} on {best['tp']}: {best['tokens_per_second']:,.0f} tokens/s")

for rank in model.flops(4096, 512, batch=best["batch"], tp=best["tp"]).roofline("NVIDIA H100 80GB HBM3").ranks:
    sent = sum(transfer.bytes for transfer in rank.sent)
    print(f"{rank.count} × {rank.name}: {rank.flops:,} FLOPs, {rank.bytes.weights:,} bytes of weights, {sent:,} sent, fits {rank.fits}")

for term in compare("palm", "megatron", model, sequence=4096).terms:
    print(f"{term.flops:+,} {term.counts} instead of {term.instead_of}")
