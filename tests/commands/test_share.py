def test_a_run_is_pushed_and_pulled(digits_run, tmp_path, iiae):
    _, out, err = iiae("push", digits_run, tmp_path / "shared")
    assert out == f"pushed to {tmp_path / 'shared'}\n", err
    _, out, err = iiae("pull", tmp_path / "shared", tmp_path / "mine")
    assert out == f"wrote {tmp_path / 'mine'}\n", err
