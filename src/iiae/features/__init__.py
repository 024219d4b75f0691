"""Pretrained backbones, and features of images computed by them."""
