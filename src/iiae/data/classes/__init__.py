"""Labelled collections of two domains, and pairs made of their classes or instances."""
