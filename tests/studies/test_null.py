import numpy as np

from null import SURE, table


def read(p):
    """Rows whose p-values are given by seed, on shuffled pairs from `p`, else small."""

    def row(name, seed, shuffled):
        value = p[seed] if shuffled else [0.001, 0.2][seed % 2 and name == "digits-cdcb"]
        return {"p": value, "nats": 1.0 - shuffled, "recall": 0.5, "pairs": 40}

    return row


def null_line(p):
    return list(table(read(p), ["breast_tcga"], 4, len(p)))[-1]


def test_a_set_whose_every_seed_is_below_the_level_says_so_and_another_does_not():
    lines = list(table(read([0.5]), ["breast_tcga", "digits-cdcb"], 4, 1))
    assert "| breast_tcga | 40 | 4 of 4 | 0.001 | 1.00 | 50.0% |" in lines
    assert "| digits-cdcb | 40 | 2 of 4 | 0.200 | 1.00 | 50.0% |" in lines


def test_uniform_p_values_pass_the_test_and_small_ones_do_not():
    uniform = (np.arange(50) + 0.5) / 50
    line = null_line(uniform)
    assert f"| 50 | {(uniform < SURE).sum()} | 1.00 |" in line
    assert "| 50 | 50 | 0.00 |" in null_line(uniform * SURE / 2)
