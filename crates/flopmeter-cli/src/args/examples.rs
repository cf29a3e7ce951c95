//! Examples in the help.

// Lines of at most 80 columns: a terminal would fold a longer one where it cannot be copied.
pub const ESTIMATE_EXAMPLE: &str = "Example (more with --help):
  flopmeter estimate meta-llama/Llama-3.1-8B --prompt 1024 --generate 256";
pub const UTILIZATION_EXAMPLE: &str = "Example (more with --help):
  flopmeter mfu llama3:8b -p 1024 --time 20ms --device \"NVIDIA H100 80GB HBM3\"";
pub const EXPLAIN_EXAMPLE: &str = "Example (more with --help):
  flopmeter explain deepseek-ai/DeepSeek-V3 -p 1024 -g 256";
pub const ESTIMATE_EXAMPLES: &str = "Examples:
  flopmeter estimate meta-llama/Llama-3.1-8B --prompt 1024 --generate 256
  flopmeter estimate ./config.json -p 8192 --convention torch --format json
  flopmeter estimate mixtral-8x7b -p 1024 --batch 32 --device \"NVIDIA L40S\"
  flopmeter estimate qwen3:8b --sequences 1024:256,8000:20";
pub const UTILIZATION_EXAMPLES: &str = "Examples:
  flopmeter mfu llama3:8b -p 1024 --time 20ms --device \"NVIDIA H100 80GB HBM3\"
  flopmeter mfu . -p 8192 --time 350ms --peak bf16=989.5e12 --bandwidth 3.35e12";
pub const EXPLAIN_EXAMPLES: &str = "Examples:
  flopmeter explain deepseek-ai/DeepSeek-V3 -p 1024 -g 256
  flopmeter explain gpt2 -p 100 -g 20 --device \"NVIDIA L4\" --time 80ms
  flopmeter train gpt2 --sequence 1024 --explain";
pub const TRAIN_EXAMPLE: &str = "Example (more with --help):
  flopmeter train meta-llama/Llama-3.1-8B --sequence 8192 --batch 128";
pub const TRAIN_EXAMPLES: &str = "Examples:
  flopmeter train meta-llama/Llama-3.1-8B --sequence 8192 --batch 128
  flopmeter train mixtral-8x7b -s 4096 --time 2s --device \"NVIDIA H200\"
  flopmeter train llama3:8b --packed 812,4096,3284 --adapter ./lora --flash
  flopmeter train llama3:8b -s 8192 --time 2s --device \"NVIDIA H200\" --explain";
pub const SWEEP_EXAMPLE: &str = "Example (more with --help):
  flopmeter sweep llama3:8b -p 1024 -g 256 --batch 1..256x2 --device L40S";
pub const SWEEP_EXAMPLES: &str = "Examples:
  flopmeter sweep llama3:8b -p 1024 -g 256 --batch 1..256x2 --device L40S
  flopmeter sweep llama3:8b -p 1024..65536x2 --device L4,L40S --dtype bf16,fp8
  flopmeter sweep llama3:8b -p 512 -g 256 -b 1..999 --device L4 --format csv
  flopmeter sweep llama3:8b -p 512 -b 1..99 --device L4 --best mfu --limit ttft=1s
  flopmeter sweep llama3:8b -s 4096 --recompute none,full -b 1..9+2 --device L4
  flopmeter sweep llama3:70b -p 512 --tp 1..8x2 --pp 1,2 --devices 8 --device L40S";
pub const AUDIT_EXAMPLES: &str = "Examples:
  flopmeter audit claims.csv
  flopmeter audit claims.csv --format json";
pub const COMPARE_EXAMPLES: &str = "Examples:
  flopmeter compare megatron torchtitan meta-llama/Llama-3.1-8B --sequence 8192
  flopmeter compare model chinchilla mixtral-8x7b --packed 812,4096,3284
  flopmeter compare model vllm llama3:8b --prompt 8192 --generate 256";
pub const PLOT_EXAMPLE: &str = "Example (more with --help):
  flopmeter plot roofline llama3:8b --batch 1,16 --device L40S -o roofline.svg";
pub const PLOT_EXAMPLES: &str = "Examples:
  flopmeter plot roofline llama3:8b --device L40S
  flopmeter plot roofline llama3:8b --batch 1,16 --device L40S -o roofline.svg
  flopmeter plot context gemma3:27b -o context.png --theme dark
  flopmeter plot batch llama3:8b -p 1024 -g 256 --device L40S -o batch.png";
pub const MODELS_EXAMPLES: &str = "Examples:
  flopmeter models
  flopmeter models qwen3:8b
  flopmeter models ./config.json --format json";
pub const DEVICES_EXAMPLES: &str = "Examples:
  flopmeter devices
  flopmeter devices \"NVIDIA H100 80GB HBM3\" --format json";
