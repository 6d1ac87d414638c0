"""Enhancers, one file per backbone: from degraded to enhanced images; see docs/backbones.md."""
