"""Add the heads file, from which class activation maps are made, to a shipped model that lacks it.

    python scripts/add_heads.py face-base

Reads the weights out of the model's own graph, so nothing is trained or measured anew.
"""

from __future__ import annotations

import argparse
import hashlib
import tomllib

import numpy as np

from mien.face.explain import HEADS
from mien.models import ModelSpec, registry, runtime, store
from mien.train.export import heads_file
from mien.train.init import init_network
from mien.train.nets import FaceNetwork, build_network
from mien.train.recipe import load_recipe


def add_heads(spec: ModelSpec, source: str | None = None) -> ModelSpec | None:
    """Write the heads file beside the graph and name it in the record; None where the heads are not linear.

    The weights are those of ``source``, a run folder, where the graph itself is in eight bits.
    """
    assert spec.input is not None
    recipe = load_recipe(str(spec.training["recipe"]))
    net = build_network(recipe.net, {o.name: len(o.labels) for o in spec.outputs}, **recipe.net_options)
    assert isinstance(net, FaceNetwork)
    init_network(net, source or spec.name)
    side = spec.input.size
    crops = np.random.default_rng(0).integers(0, 256, (16, side, side, 3), dtype=np.uint8)
    content = heads_file(net.eval(), runtime.load(spec, threads=1), crops)
    if content is None:
        return None
    path = spec.path.with_name(f"{spec.name}.heads.npz")
    path.write_bytes(content)
    entry = {
        "role": HEADS,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    record = tomllib.loads(spec.path.read_text("utf-8"))  # as it stands, so that the rest keeps its order
    record["files"] = [*(f for f in record["files"] if f["role"] != HEADS), entry]
    return store.write_record(record, spec.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    spec = add_heads(registry.get(parser.parse_args().model))
    if spec is None:
        raise SystemExit("the heads are not linear in the last feature map: there is no such file for this model")
    store.verify(spec)
    entry = spec.file(HEADS)
    print(f"wrote {entry.file} ({entry.bytes} bytes) and {spec.path.name}; LICENSES.md must name both")


if __name__ == "__main__":
    main()
