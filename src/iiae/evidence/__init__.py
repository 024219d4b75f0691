"""What went where: probes, dependence, swaps and information of latents."""
