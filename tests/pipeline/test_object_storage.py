"""Data kept in object storage, as docs/cluster.md says: a remote of DVC at a local server that speaks S3."""

import json
import os
import shutil
from contextlib import contextmanager

import boto3
import pytest
from moto.core.authorization import enable_iam_authentication
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tests.pipeline.repository import dvc_here, dvc_refuses, make_repository, stage

BUCKET, REGION = "soundgate-data", "us-east-1"
STAGES = {
    "one": stage("cp source.txt one.txt", "source.txt", outs=["one.txt"]),
    "many": stage("mkdir many && for i in 1 2 3 4 5; do seq 1 $i > many/$i.txt; done", "one.txt", outs=["many"]),
}


@contextmanager
def s3_server():
    """Give the address of a server with an empty bucket, and the key of the one user whose requests it takes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        nobody = boto3.Session(aws_access_key_id="nobody", aws_secret_access_key="none", region_name=REGION)
        nobody.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        users = nobody.client("iam", endpoint_url=address)
        users.create_user(UserName="user")
        rule = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
        users.put_user_policy(UserName="user", PolicyName="bucket", PolicyDocument=document)
        key = users.create_access_key(UserName="user")["AccessKey"]
        with enable_iam_authentication():
            yield address, key["AccessKeyId"], key["SecretAccessKey"]
    finally:
        server.stop()


@pytest.fixture(scope="module")
def no_settings_of_the_user(tmp_path_factory):
    """Neither keys nor configuration of whoever runs the tests are used, and no machine is asked for some."""
    nothing = str(tmp_path_factory.mktemp("nothing") / "none")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", nothing)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", nothing)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield


@pytest.fixture(scope="module")
def server(no_settings_of_the_user):
    with s3_server() as server:
        yield server


def use(folder, server, url=f"s3://{BUCKET}/soundgate", secret=None):
    """Name a remote, in `.dvc/config`, and the user's key, in `.dvc/config.local`."""
    address, key, right_secret = server
    dvc_here(folder, "remote", "add", "-f", "-d", "storage", url)
    dvc_here(folder, "remote", "modify", "storage", "endpointurl", address)
    dvc_here(folder, "remote", "modify", "storage", "region", REGION)
    dvc_here(folder, "remote", "modify", "--local", "storage", "access_key_id", key)
    dvc_here(folder, "remote", "modify", "--local", "storage", "secret_access_key", secret or right_secret)


def content(folder):
    files = [folder / "one.txt", *(folder / "many").iterdir()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def forget(folder):
    """Remove the outputs, DVC's cache, and what it knows of the remote."""
    (folder / "one.txt").unlink()
    shutil.rmtree(folder / "many")
    shutil.rmtree(folder / ".dvc/cache")
    shutil.rmtree(folder / ".dvc/tmp")


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = make_repository(tmp_path_factory.mktemp("computed"), STAGES)
    (folder / "source.txt").write_text("".join(f"{number}\n" for number in range(20_000)))
    dvc_here(folder, "repro")
    return folder


@pytest.fixture
def repository(computed, tmp_path):
    return shutil.copytree(computed, tmp_path / "repository")


def test_what_was_pushed_comes_back(server, repository):
    before = content(repository)
    use(repository, server)
    assert "7 files pushed" in dvc_here(repository, "push")
    assert "Everything is up to date" in dvc_here(repository, "push")
    forget(repository)
    assert "A" in dvc_here(repository, "pull")
    assert content(repository) == before and len(before) == 6
    assert "Data and pipelines are up to date" in dvc_here(repository, "status")
    committed = (repository / ".dvc/config").read_text()
    assert server[0] in committed and not any(secret in committed for secret in server[1:])


def test_runs_that_no_lock_file_records_come_back_too(server, repository):
    before = content(repository)
    use(repository, server, f"s3://{BUCKET}/runs")
    dvc_here(repository, "push", "--run-cache")
    forget(repository)
    (repository / "dvc.lock").unlink()
    dvc_here(repository, "fetch", "--run-cache")
    text = dvc_here(repository, "repro", "--pull")
    assert text.count("is cached - skipping run") == 2 and "Running stage" not in text
    assert content(repository) == before


def test_a_wrong_secret_says_so(server, repository):
    use(repository, server, secret="wrong")
    assert "An error occurred (403) when calling the HeadObject operation: Forbidden" in dvc_refuses(repository, "push")


def test_a_missing_bucket_says_so(server, repository):
    use(repository, server, "s3://no-such-bucket/soundgate")
    assert "The specified bucket does not exist" in dvc_refuses(repository, "push")


def test_a_server_that_is_not_there_says_so(server, repository):
    use(repository, ("http://127.0.0.1:1", *server[1:]))
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:1/' in dvc_refuses(repository, "push")


def test_what_was_never_pushed_is_named(server, repository):
    use(repository, server, f"s3://{BUCKET}/empty")
    forget(repository)
    text = dvc_refuses(repository, "pull")
    assert "do not exist neither locally nor on remote" in text and {"many", "one.txt"} <= set(text.splitlines())
