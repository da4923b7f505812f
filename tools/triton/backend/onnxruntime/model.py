"""What the wheel's tritonserver uses in place of Triton's ONNX Runtime backend, which only the container carries.

The server takes a folder `onnxruntime` with a model.py in it for the backend of that name, so that a production model
folder (`backend: "onnxruntime"`, `<version>/model.onnx`) loads unchanged. It runs in Triton's Python backend, in a
process of its own, and does what the real one does as far as a client can see: requests of equal shape in one run,
an error for each request that failed, names and types checked against the configuration at load.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils  # given by the server

TYPES = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}


class TritonPythonModel:
    """One instance of a model version, as Triton's Python backend wants it."""

    def initialize(self, args):
        """Open the version's graph; raise what makes the load fail."""
        self.config = json.loads(args["model_config"])
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        if not path.exists():
            raise pb_utils.TritonModelException(f"unable to find '{path}'")
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(self._parameter("intra_op_thread_count", "0"))
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = [tensor["name"] for tensor in self.config["input"]]
        self.outputs = [tensor["name"] for tensor in self.config["output"]]
        self._check(self.config["input"], self.session.get_inputs())
        self._check(self.config["output"], self.session.get_outputs())

    def _parameter(self, name, default):
        return self.config["parameters"].get(name, {}).get("string_value", default)

    def _check(self, configured, found):
        types = {tensor.name: TYPES.get(tensor.type, tensor.type) for tensor in found}
        for tensor in configured:
            name, wanted = tensor["name"], tensor["data_type"]
            if types.get(name) != wanted:
                raise pb_utils.TritonModelException(
                    f"the configuration says {name}: {wanted}, the graph {types.get(name, 'has no such tensor')}"
                )

    def execute(self, requests):
        """A response for each request, in order."""
        arrays = [[_array(request, name) for name in self.inputs] for request in requests]
        by_shape = defaultdict(list)
        for index, given in enumerate(arrays):
            by_shape[tuple(array.shape[1:] for array in given)].append(index)
        responses = [None] * len(requests)
        for members in by_shape.values():
            joined = [np.concatenate([arrays[i][n] for i in members]) for n in range(len(self.inputs))]
            try:
                outputs = self.session.run(self.outputs, dict(zip(self.inputs, joined, strict=True)))
            except Exception as error:  # noqa: BLE001  onnxruntime's errors have no common class of their own
                self._alone(members, arrays, responses, error)
                continue
            first = 0
            for index in members:
                rows = arrays[index][0].shape[0]
                responses[index] = self._response([output[first : first + rows] for output in outputs])
                first += rows
        return responses

    def _alone(self, members, arrays, responses, error):
        """One request at a time, so that one bad request fails alone."""
        for index in members:
            if len(members) > 1:
                try:
                    outputs = self.session.run(self.outputs, dict(zip(self.inputs, arrays[index], strict=True)))
                except Exception as found:  # noqa: BLE001
                    error = found
                else:
                    responses[index] = self._response(outputs)
                    continue
            message = f"onnx runtime error: {error}"
            responses[index] = pb_utils.InferenceResponse(error=pb_utils.TritonError(message))

    def _response(self, outputs):
        tensors = [
            pb_utils.Tensor(name, np.ascontiguousarray(array))
            for name, array in zip(self.outputs, outputs, strict=True)
        ]
        return pb_utils.InferenceResponse(tensors)


def _array(request, name):
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy()
