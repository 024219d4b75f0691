def test_a_run_is_pushed_and_pulled(digits_run, tmp_path, run_iiae):
    done = run_iiae("push", digits_run, tmp_path / "shared")
    assert done.stdout == f"pushed to {tmp_path / 'shared'}\n", done.stderr
    done = run_iiae("pull", tmp_path / "shared", tmp_path / "mine")
    assert done.stdout == f"wrote {tmp_path / 'mine'}\n", done.stderr
