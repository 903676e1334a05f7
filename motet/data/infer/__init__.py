"""What a person's tables mean, told from names and values: the commented `motet.toml` of `motet init`."""

from motet.data.infer.inference import Finding, Inference, infer

__all__ = ["Finding", "Inference", "infer"]
