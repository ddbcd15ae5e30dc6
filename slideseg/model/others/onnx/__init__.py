"""Networks of any framework as ONNX files: read, run, and found out how far they see."""
