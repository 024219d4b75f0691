import pytest

from gallery_made import INFO


@pytest.fixture
def gallery(tmp_path):
    pytest.importorskip("lancedb", reason="the extra 'search' is not installed")
    from iiae.search.gallery import Gallery

    return Gallery.create(tmp_path / "g", INFO)
