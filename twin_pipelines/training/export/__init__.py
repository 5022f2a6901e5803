"""Export: an adapter becomes files that other programs serve, each compared with what was trained.

Comes in: an adapter, its base and the system prompt it was taught. Goes out: a folder
`exports/<adapter_id>` with merged safetensors, GGUF files, Ollama Modelfiles and a manifest, and
rows in `exports`. The work is done in a process of its own (`python -m
twin_pipelines.training.export.run`); a folder is whole or it is not there. Nothing of llama.cpp is
kept in this repository: its converters are fetched once, by hash, into the state folder.
"""
