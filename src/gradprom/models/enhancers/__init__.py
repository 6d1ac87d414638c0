"""Enhancers, one file a backbone: from degraded to enhanced images; see docs/backbones.md."""
