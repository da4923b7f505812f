"""The classifier on Triton Inference Server: `TritonClassifier`."""

from inference.triton.client import MODEL, TritonClassifier
from inference.triton.connection import Address, Tls, address_of

__all__ = ["MODEL", "Address", "Tls", "TritonClassifier", "address_of"]
