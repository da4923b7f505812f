"""Triton's side of the artefact: `config.pbtxt` (GPU), `configs/cpu.pbtxt` (`--model-config-name=cpu`), warm-up data.

Shapes and limits come from the same constants as the graph's, so that the two can't disagree. TensorRT can't take the
int8 graph: a GPU serves the float16 artefact that `training.export` leaves in the run's folder, with this same text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference.triton.versions import NONE, with_versions

MAX_BATCH = 64
WARM_UP_PIECES = 32
CONFIGURATIONS = ("config.pbtxt", "configs/cpu.pbtxt")
WARM_UP_FOLDER = "warmup"  # Triton looks for input_data_file in this folder of the model

_TENSORS = """\
name: "adverse_event"
backend: "onnxruntime"
max_batch_size: {batch}
input [
  {{ name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] }},
  {{ name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] }}
]
output [
  {{ name: "sentence" data_type: TYPE_FP32 dims: [ 1 ] }},
  {{ name: "drug" data_type: TYPE_FP32 dims: [ -1, 3 ] }},
  {{ name: "effect" data_type: TYPE_FP32 dims: [ -1, 3 ] }},
  {{ name: "pair" data_type: TYPE_FP32 dims: [ -1, -1 ] }}
]
response_cache {{ enable: false }}
model_warmup [
  {{
    name: "a real sentence"
    batch_size: 1
    inputs {{
      key: "input_ids"
      value: {{ data_type: TYPE_INT64 dims: [ {warm} ] input_data_file: "input_ids" }}
    }}
    inputs {{
      key: "attention_mask"
      value: {{ data_type: TYPE_INT64 dims: [ {warm} ] input_data_file: "attention_mask" }}
    }}
  }}
]
"""

# Only for GPUs: this scheduler now and then leaves a request of a quiet server waiting for half a second
# (docs/decisions/triton.md). The client sends whole batches of one length, so on CPUs there is nothing to gain by it.
_BATCHING = """\
dynamic_batching {
  preferred_batch_size: [ 16, 32, 64 ]
  max_queue_delay_microseconds: 500
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 5000000
    allow_timeout_override: true
    max_queue_size: 256
  }
}
"""

_CPU = """\
# Runs side by side, each on one core, do more than cores that share each operation. As many as the machine has cores.
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
"""

_GPU = """\
instance_group [ {{ count: 1 kind: KIND_GPU }} ]
optimization {{
  execution_accelerators {{
    gpu_execution_accelerator: [
      {{
        name: "tensorrt"
        parameters {{ key: "precision_mode" value: "FP16" }}
        parameters {{ key: "max_workspace_size_bytes" value: "4294967296" }}
        parameters {{ key: "trt_engine_cache_enable" value: "1" }}
        parameters {{ key: "trt_engine_cache_path" value: "/var/cache/vigilia/tensorrt" }}
        parameters {{ key: "trt_timing_cache_enable" value: "1" }}
        parameters {{ key: "trt_timing_cache_path" value: "/var/cache/vigilia/tensorrt" }}
        parameters {{ key: "trt_layer_norm_fp32_fallback" value: "1" }}
        parameters {{ key: "trt_profile_min_shapes" value: "input_ids:{smallest},attention_mask:{smallest}" }}
        parameters {{ key: "trt_profile_opt_shapes" value: "input_ids:32x32,attention_mask:32x32" }}
        parameters {{ key: "trt_profile_max_shapes" value: "input_ids:{largest},attention_mask:{largest}" }}
      }}
    ]
  }}
}}
"""


def write_configurations(folder: Path, warm_ids: list[int], step: int, max_pieces: int) -> None:
    """Write both configurations and the warm-up tensors.

    `step` and `max_pieces` are the shortest and the longest sentence TensorRT is made ready for. `warm_ids` are the
    pieces of a real sentence: random ids could lie outside the vocabulary.
    """
    tensors = _TENSORS.format(batch=MAX_BATCH, warm=WARM_UP_PIECES)
    gpu = _GPU.format(smallest=f"1x{step}", largest=f"{MAX_BATCH}x{max_pieces}")
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    for name, text in zip(CONFIGURATIONS, (tensors + _BATCHING + gpu, tensors + _CPU), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    ids = np.zeros(WARM_UP_PIECES, dtype=np.int64)
    given = warm_ids[:WARM_UP_PIECES]
    ids[: len(given)] = given
    mask = (np.arange(WARM_UP_PIECES) < len(given)).astype(np.int64)
    warm = folder / WARM_UP_FOLDER
    warm.mkdir(exist_ok=True)
    (warm / "input_ids").write_bytes(ids.astype("<i8").tobytes())
    (warm / "attention_mask").write_bytes(mask.astype("<i8").tobytes())


def state_manifest(folder: Path, manifest_hash: str) -> None:
    """Write into both configurations which artefact version 1 is, so that the server can tell. See `Versions`."""
    versions, number = NONE.pushed(manifest_hash)
    for name in CONFIGURATIONS:
        path = folder / name
        path.write_text(with_versions(path.read_text("utf-8"), versions.made_current(number)), "utf-8")
