"""Arithmetic of the U-Net: tile sizes, halo, crop margins, where tiles begin. Integers only.

All sizes are pixels along one axis; height and width follow the same rule independently.
"""

from __future__ import annotations

from dataclasses import dataclass

from unet_tf.errors import InputError

PADDINGS = ("valid", "same")


@dataclass(frozen=True)
class Tiling:
    """How one axis of an image is cut into tiles of equal size.

    Attributes:
        input_size: pixels that the net reads for each tile.
        step: output pixels that each tile contributes; a multiple of `2**depth`.
        origins: first output pixel of each tile; tile i covers `[origins[i], origins[i] + step)` of the image
            and reads `[origins[i] - halo, origins[i] - halo + input_size)`.
    """

    input_size: int
    step: int
    origins: tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """Sizes of a U-Net with two 3x3 convolutions a level, 2x2 pooling and 2x2 up-convolutions.

    Args:
        depth: number of poolings; 4 in the paper.
        padding: "valid" (the paper's unpadded convolutions, output smaller than input) or "same".

    Raises:
        InputError: `depth` is negative or `padding` is unknown.

    Example:
        >>> net = Geometry(depth=4, padding="valid")
        >>> net.halo, net.output_size(572), net.crop_margins
        (92, 388, (4, 16, 40, 88))

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), figures 1 and 2.
    """

    depth: int = 4
    padding: str = "valid"

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise InputError(f"depth is the number of poolings and must be 0 or more; received {self.depth}.")
        if self.padding not in PADDINGS:
            raise InputError(f'padding must be "valid" or "same"; received {self.padding!r}.')

    @property
    def stride(self) -> int:
        """Side of the pooling grid, `2**depth`: tiles whose origins are multiples of it agree exactly."""
        return 2**self.depth

    @property
    def halo(self) -> int:
        """Image pixels around an output tile, on each side, that its values depend on.

        "valid": what the net itself cuts off, (input - output) / 2 = 3 * 2**(depth + 1) - 4.
        "same": the receptive field of the worst placed pixel, 7 * 2**depth - 5, rounded up to the pooling grid;
        the predictor cuts it off, because zeros padded at a tile's border reach that far.
        """
        if self.padding == "valid":
            return 3 * 2 ** (self.depth + 1) - 4
        return -(-(7 * self.stride - 5) // self.stride) * self.stride

    @property
    def shrink(self) -> int:
        """Input size minus output size of the net itself: 184 for the paper's net, 0 for "same"."""
        return 2 * self.halo if self.padding == "valid" else 0

    @property
    def margin(self) -> int:
        """Pixels to cut off each side of the net's output: the halo for "same"; 0 for "valid", which cuts it itself."""
        return self.halo if self.padding == "same" else 0

    @property
    def crop_margins(self) -> tuple[int, ...]:
        """Pixels cropped off each side of the skip connections, from the deepest up: 4, 16, 40, 88.

        Twice the halo of the net below the skip, once by pooling and once by the factor two between the levels.
        """
        if self.padding == "same":
            return (0,) * self.depth
        return tuple(2 * Geometry(level).halo for level in range(self.depth))

    @property
    def rule(self) -> str:
        """The legal input sizes in words, such as "16k + 12"."""
        return f"{self.stride}k + {self._residue}" if self._residue else f"{self.stride}k"

    @property
    def min_input(self) -> int:
        """The smallest legal input size."""
        size = self._residue or self.stride
        while size <= self.shrink:
            size += self.stride
        return size

    @property
    def min_tile(self) -> int:
        """The smallest input size whose output holds a whole cell of the pooling grid, as tiled prediction needs."""
        return self.window_size(self.stride)

    @property
    def _residue(self) -> int:
        return -4 % self.stride if self.padding == "valid" else 0

    def is_legal(self, size: int) -> bool:
        """Whether the net accepts `size` input pixels along one axis."""
        return size >= self.min_input and size % self.stride == self._residue

    def nearest_legal(self, size: int) -> tuple[int, ...]:
        """The legal input sizes next to `size`: one if `size` is legal or too small, else the one below and above."""
        if size <= self.min_input:
            return (self.min_input,)
        below = size - (size - self._residue) % self.stride
        return (below,) if below == size else (below, below + self.stride)

    def check(self, *sizes: int) -> None:
        """Raise InputError with the rule, the sizes and the nearest legal ones unless all sizes are legal.

        Example:
            >>> Geometry().check(570, 572)
            Traceback (most recent call last):
            unet_tf.errors.InputError: Input 570x572 is not a legal tile size for depth 4, "valid" (16k + 12, \
at least 188); nearest to 570: 556, 572.
        """
        illegal = sorted({size for size in sizes if not self.is_legal(size)})
        if illegal:
            nearest = "; ".join(
                f"nearest to {size}: {', '.join(map(str, self.nearest_legal(size)))}" for size in illegal
            )
            raise InputError(
                f'Input {"x".join(map(str, sizes))} is not a legal tile size for depth {self.depth}, "{self.padding}" '
                f"({self.rule}, at least {self.min_input}); {nearest}."
            )

    def output_size(self, size: int) -> int:
        """Output pixels for `size` input pixels; raises InputError if `size` is not legal."""
        self.check(size)
        return size - self.shrink

    def input_size(self, output: int) -> int:
        """The smallest legal input size whose output has at least `output` pixels.

        Example:
            >>> Geometry().input_size(384), Geometry().input_size(389)
            (572, 588)
        """
        if output < 1:
            raise InputError(f"An output must have at least 1 pixel; received {output}.")
        return max(self.min_input, self.nearest_legal(output + self.shrink)[-1])

    def tile_step(self, tile: int) -> int:
        """Output pixels that a tile of `tile` input pixels contributes: whole cells of the pooling grid.

        Raises:
            InputError: `tile` is not legal, or holds no whole cell.

        Example:
            >>> Geometry().tile_step(572)
            384
        """
        if tile < self.min_tile:  # some of which are legal for training
            raise InputError(
                f'Prediction with depth {self.depth}, "{self.padding}" needs tiles of {self.min_tile} px or more; '
                f"received {tile}."
            )
        self.check(tile)
        return (tile - 2 * self.halo) // self.stride * self.stride

    def tiling(self, length: int, max_tile: int) -> Tiling:
        """Cut `length` image pixels into the fewest equal tiles whose input size does not exceed `max_tile`.

        Origins are multiples of `stride`. Max-pooling fixes a grid of that side, so only such tiles give the same
        values as one pass over the whole image; of a 388 px output, 384 px are therefore used.

        Raises:
            InputError: `max_tile` is not legal, or its output holds no whole cell of the pooling grid.

        Example:
            >>> Geometry().tiling(1000, max_tile=572)
            Tiling(input_size=524, step=336, origins=(0, 336, 672))
        """
        if length < 1:
            raise InputError(f"An image must have at least 1 pixel a side; received {length}.")
        count = -(-length // self.tile_step(max_tile))
        step = -(-length // (count * self.stride)) * self.stride
        return self.fixed_tiling(length, self.window_size(step))

    def window_size(self, step: int) -> int:
        """The smallest input size of a tile that contributes `step` output pixels, whole cells of the pooling grid."""
        return self.input_size(step) if self.padding == "valid" else step + 2 * self.halo

    def fixed_tiling(self, length: int, tile: int) -> Tiling:
        """Cut `length` image pixels into tiles of exactly `tile` input pixels, as a net of static size needs."""
        step = self.tile_step(tile)
        return Tiling(tile, step, tuple(range(0, length, step)))
