"""The transformer half of the encoder, ViT (Dosovitskiy et al. 2021, arXiv 2010.11929), and Google's weights for it.

There is no class token: the decoder needs the patches alone. Layers are named as in Google's files
(``R50+ViT-B_16.npz``, ``ViT-B_16.npz``), which are published at storage.googleapis.com/vit_models and hold one array
for each key, such as ``Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel``.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, Layer, initializers, layers, ops
from scipy import ndimage

from medseg import downloads
from medseg.errors import MedsegError
from medseg.names import nearest
from medseg.project import display

_EPSILON = 1e-6  # of layer normalisation, as in Flax, where the published weights come from
POSITIONS = "Transformer/posembed_input/pos_embedding"
#: Keys that are left where they are: class token and classifier, which a segmentation has no use for, and the
#: convolutions of Google's own R50. Those are standardised and normalised by groups (arXiv 1912.11370), which no layer
#: of ResNet50V2 is; its weights come from ImageNet instead.
NOT_OURS = re.compile(r"(cls$|head/|pre_logits/|conv_root/|gn_root/|block\d+/unit\d+/)")


@keras.saving.register_keras_serializable("medseg")
class PositionEmbedding(Layer):
    """Adds a learned vector to each patch; (B, N, D) to (B, N, D)."""

    def build(self, input_shape: tuple[int | None, int, int]) -> None:
        self.pos_embedding = self.add_weight(
            shape=(1, *input_shape[1:]), initializer=initializers.RandomNormal(stddev=0.02), name="pos_embedding"
        )

    def call(self, patches: KerasTensor) -> KerasTensor:
        return patches + self.pos_embedding


def encode(
    features: KerasTensor, *, patch: int, hidden: int, blocks: int, heads: int, mlp: int, dropout: float = 0.0
) -> KerasTensor:
    """Cut a map into patches, let them attend to each other, and give the patches back as a map.

    From (B, H, W, C), H and W multiples of ``patch`` (1 over a convolutional encoder's map, 16 on the picture itself),
    to (B, H / patch, W / patch, hidden), normalised. ``hidden`` is a multiple of ``heads``, ``mlp`` the width of the
    layer between two attentions; ``dropout`` comes after the position embedding and within each MLP, in training.
    """
    x = layers.Conv2D(hidden, patch, strides=patch, name="embedding")(features)
    rows, columns = x.shape[1:3]
    x = PositionEmbedding(name="posembed_input")(layers.Reshape((rows * columns, hidden), name="patches")(x))
    x = _dropped(x, dropout, "posembed_dropout")
    for number in range(blocks):
        x = _block(x, heads, mlp, dropout, block_name(number))
    x = layers.LayerNormalization(epsilon=_EPSILON, name="encoder_norm")(x)
    return layers.Reshape((rows, columns, hidden), name="patch_grid")(x)


def block_name(number: int) -> str:
    """Name of a transformer block (from 0), which its layers' names begin with."""
    return f"encoderblock_{number}"


def _block(x: KerasTensor, heads: int, mlp: int, dropout: float, name: str) -> KerasTensor:
    hidden = x.shape[-1]
    y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_LayerNorm_0")(x)
    attention = layers.MultiHeadAttention(heads, hidden // heads, name=f"{name}_MultiHeadDotProductAttention_1")
    x = layers.Add(name=f"{name}_add_1")([x, _dropped(attention(y, y), dropout, f"{name}_dropout_1")])
    y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_LayerNorm_2")(x)
    y = layers.Dense(mlp, name=f"{name}_MlpBlock_3_Dense_0")(y)
    # The tanh form is Flax's default, with which the published weights were trained.
    y = _dropped(ops.gelu(y, approximate=True), dropout, f"{name}_dropout_2")
    y = layers.Dense(hidden, name=f"{name}_MlpBlock_3_Dense_1")(y)
    return layers.Add(name=f"{name}_add_2")([x, _dropped(y, dropout, f"{name}_dropout_3")])


def _dropped(x: KerasTensor, rate: float, name: str) -> KerasTensor:
    return layers.Dropout(rate, name=name)(x) if rate else x


def load(network: keras.Model, file: Path) -> str:
    """Give the transformer of ``network`` the weights in ``file`` and return its name and sha256.

    The position embedding is resized bilinearly to the network's own grid of patches, without its class token. A
    :class:`MedsegError`, before any weight has changed, where the file cannot be read, a key is missing, has another
    shape or is one too many, or a value is not finite.
    """
    content = _read(file)
    wanted = targets(network)
    missing = [key for key in wanted if key not in content]
    if missing:
        near = nearest(missing[0], content)
        hint = f" The nearest that it has is {near[0]!r}." if near else ""
        raise MedsegError(
            f"{display(file)} lacks {missing[0]!r}{_more(missing)}.{hint} Give one of Google's files for this very "
            f"transformer, or set vit_weights to 'none'."
        )
    unknown = [key for key in content if key not in wanted and not NOT_OURS.match(key)]
    if unknown:
        raise MedsegError(
            f"{display(file)} also holds {unknown[0]!r}{_more(unknown)}, for which this network has no place. Give one "
            "of Google's files for this very transformer, or set vit_weights to 'none'."
        )
    arrays = {}
    for key, variable in wanted.items():
        array, shape = content[key], tuple(variable.shape)
        if key == POSITIONS:
            array = _resized(array, network.get_layer("embedding").output.shape[1:3], file)
        if array.shape != shape:
            raise MedsegError(
                f"{display(file)}: {key!r} has the shape {content[key].shape}, expected {shape}. The file is of "
                "another network: R50+ViT-B_16 fits the variant hybrid, ViT-B_16 the variant plain."
            )
        if not np.isfinite(array).all():
            raise MedsegError(f"{display(file)}: {key!r} holds values that are not finite. Fetch the file again.")
        arrays[key] = array
    for key, variable in wanted.items():
        variable.assign(arrays[key])
    return downloads.named(file)


def targets(network: keras.Model) -> dict[str, keras.Variable]:
    """Google's key and the network's variable, for everything from the patch embedding to the final norm."""
    embedding, positions = network.get_layer("embedding"), network.get_layer("posembed_input")
    found = {"embedding/kernel": embedding.kernel, "embedding/bias": embedding.bias, POSITIONS: positions.pos_embedding}
    names = {layer.name for layer in network.layers}
    number = 0
    while f"{block_name(number)}_LayerNorm_0" in names:
        found.update(_block_targets(network, number))
        number += 1
    final = network.get_layer("encoder_norm")
    return {**found, "Transformer/encoder_norm/scale": final.gamma, "Transformer/encoder_norm/bias": final.beta}


def _block_targets(network: keras.Model, number: int) -> dict[str, keras.Variable]:
    name, prefix = block_name(number), f"Transformer/{block_name(number)}"
    found: dict[str, keras.Variable] = {}
    for norm in ("LayerNorm_0", "LayerNorm_2"):
        layer = network.get_layer(f"{name}_{norm}")
        found |= {f"{prefix}/{norm}/scale": layer.gamma, f"{prefix}/{norm}/bias": layer.beta}
    for dense in ("Dense_0", "Dense_1"):
        layer = network.get_layer(f"{name}_MlpBlock_3_{dense}")
        found |= {f"{prefix}/MlpBlock_3/{dense}/kernel": layer.kernel, f"{prefix}/MlpBlock_3/{dense}/bias": layer.bias}
    attention = "MultiHeadDotProductAttention_1"
    # Keras keeps the four projections private; the paths of their variables are public.
    for variable in network.get_layer(f"{name}_{attention}").weights:
        part, kind = variable.path.split("/")[-2:]
        found[f"{prefix}/{attention}/{'out' if part == 'attention_output' else part}/{kind}"] = variable
    return found


def _resized(positions: np.ndarray, grid: tuple[int, int], file: Path) -> np.ndarray:
    """Position embedding (1, g * g [+ 1], D) for ``grid`` (rows, columns); corners stay corners, as Google does it."""
    count = positions.shape[1] if positions.ndim == 3 else 0
    with_token = math.isqrt(count) ** 2 != count
    side = math.isqrt(count - with_token)
    if not count or side**2 != count - with_token:
        raise MedsegError(
            f"{display(file)}: {POSITIONS!r} has the shape {positions.shape}, expected (1, N, width) for a square grid "
            "of patches, with or without a class token before them."
        )
    patches = positions[0, int(with_token) :].reshape(side, side, -1)
    if (side, side) != tuple(grid):
        patches = ndimage.zoom(patches, (grid[0] / side, grid[1] / side, 1), order=1)
    return patches.reshape(1, grid[0] * grid[1], -1)


def _read(file: Path) -> Mapping[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as content:
            return {key: content[key] for key in content.files}
    except FileNotFoundError:
        raise MedsegError(f"There are no weights at {display(file)}.") from None
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise MedsegError(f"{display(file)} cannot be read as .npz ({error}). Fetch the file again.") from error


def _more(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more keys" if len(keys) > 1 else ""
