"""Whether somebody answers, a file that two processes want, and the one message where nothing can be had."""

from urllib.error import HTTPError

import pytest

from medseg import downloads


@pytest.mark.parametrize("status", [200, 403, 500])
def test_a_host_that_answers_anything_is_reachable(status, monkeypatch):
    class Response:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

    def urlopen(request, timeout):
        assert request.get_method() == "HEAD"
        assert timeout <= 10
        if status != 200:
            raise HTTPError(request.full_url, status, "", None, None)
        return Response()

    monkeypatch.setattr(downloads.urllib.request, "urlopen", urlopen)
    assert downloads.answers("https://hub.example/")


def test_a_file_in_the_cache_is_not_asked_for(tmp_path, monkeypatch, capsys):
    def fetch():
        print("a bar of many lines")
        path.write_bytes(b"fetched")
        return str(path)

    path = tmp_path / "models" / "net.h5"
    monkeypatch.setattr(downloads, "answers", lambda url: False)
    with pytest.raises(ConnectionError, match="https://hub.example/ does not answer"):
        downloads.fetched_once(path, "https://hub.example/", fetch)
    assert not path.exists()
    path.write_bytes(b"here")
    assert downloads.fetched_once(path, "https://hub.example/", fetch) == path
    assert capsys.readouterr().out == ""
    assert downloads.named(path).startswith("net.h5 sha256 ")


def test_what_cannot_be_had_is_one_message():
    reason = downloads.told(TimeoutError("no\nanswer"))
    message = str(downloads.unavailable("Weights for 'a'", reason, source="the hub", parameter="resnet_weights"))
    assert message == (
        "Weights for 'a' could not be had from the hub (TimeoutError: no answer), nor from the local cache. Connect "
        "this machine, or set resnet_weights to the path of a file with them, or to 'none' to train from random "
        "weights; docs/weights.md says how to work without a hub (the folder MEDSEG_WEIGHTS)."
    )
