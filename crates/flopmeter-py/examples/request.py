"""A model, a request, a measured time: five lines to an explained MFU and a roofline."""

import flopmeter

model = flopmeter.Model("meta-llama/Llama-3.1-8B")
measured = model.flops(prompt=1024, generate=256).utilization("NVIDIA H100 80GB HBM3", seconds=2.1)
print(measured)
print(measured.explain())
measured.plot()
