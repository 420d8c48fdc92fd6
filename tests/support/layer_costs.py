"""Layers whose multiply-accumulates are counted by hand, for both rooms of Keras."""

from types import ModuleType


def cases(keras: ModuleType, tf: ModuleType) -> dict:
    """For each name a function, the shape it takes (a batch of one), and the count."""
    layers = keras.layers
    picture, tokens = (1, 10, 10, 8), (1, 10, 16)

    def one(layer, shape):
        inputs = layers.Input(shape[1:])
        network = keras.Model(inputs, layer(inputs))
        return lambda seen: network(seen, training=False)

    def attending(seen):
        return layers.MultiHeadAttention(4, 4)(seen, seen)

    return {
        "convolution": (one(layers.Conv2D(12, 3, padding="same"), picture), picture, 100 * 12 * 8 * 9),
        "stride": (one(layers.Conv2D(12, 3, 2, padding="same"), picture), picture, 25 * 12 * 8 * 9),
        "depthwise": (one(layers.DepthwiseConv2D(3, depth_multiplier=2), picture), picture, 64 * 16 * 9),
        "separable": (one(layers.SeparableConv2D(6, 3, padding="same"), picture), picture, 100 * 8 * 9 + 100 * 8 * 6),
        "transposed": (one(layers.Conv2DTranspose(12, 2, strides=2), picture), picture, 100 * 8 * 12 * 4),
        "dense": (one(layers.Dense(5), tokens), tokens, 10 * 16 * 5),
        "attention": (one(attending, tokens), tokens, 10 * 16 * 48 + 2 * 10 * 10 * 16 + 10 * 16 * 16),
        "turned": (lambda seen: tf.matmul(seen[0], seen[0], transpose_a=True), tokens, 16 * 16 * 10),
        "turned, in a batch": (lambda seen: tf.matmul(seen, seen, adjoint_a=True), tokens, 16 * 16 * 10),
        "einsum": (lambda seen: tf.einsum("...ij,kj->...ik", seen, seen[0]), tokens, 10 * 10 * 16),
        "sum alone": (lambda seen: tf.einsum("bij->i", seen), tokens, 0),
        "a function in it": (tf.function(lambda seen: seen @ tf.transpose(seen, (0, 2, 1))), tokens, 10 * 10 * 16),
        "nothing that counts": (one(layers.BatchNormalization(), picture), picture, 0),
    }
