"""Pretrained backbones, and features of images from them."""
