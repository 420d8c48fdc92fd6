"""The transformer half of the encoder, ViT (Dosovitskiy et al. 2021, arXiv 2010.11929), named as Google's weights are.

There is no class token: the decoder needs the patches alone.
"""

from keras import KerasTensor, Layer, initializers, layers, ops

_EPSILON = 1e-6  # of layer normalisation, as in Flax, where the published weights come from


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
