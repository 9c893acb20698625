"""A transformer over tokens, some of them padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_WIDENING = 4


class Layer(nn.Module):
    """Self-attention and a feed-forward, each with a residual around a norm and itself.

    Args:
        dim: of a token.
        n_heads: of the attention.
        dropout: after the attention and after each half of the feed-forward.

    Source: Vaswani et al. 2017; Xiong et al. 2020 (norm first).
    """

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.queries_keys_values, self.joined = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, _WIDENING * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(_WIDENING * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return [B, L, dim].

        Args:
            tokens: [B, L, dim].
            mask: bool [B, L], which tokens are no padding; padding is never looked at.
        """
        size, length, dim = tokens.shape
        parts = self.queries_keys_values(self.norm_attention(tokens)).reshape(size, length, 3, self.n_heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(queries, keys, values, mask[:, None, None, :])
        tokens = tokens + self.dropout(self.joined(seen.transpose(1, 2).reshape(size, length, dim)))
        return tokens + self.dropout(self.feed(self.norm_feed(tokens)))


class Transformer(nn.Module):
    """Layers, and a norm at the end.

    Args:
        n_layers: at least 1.
        dim: of a token.
        n_heads: of each attention.
        dropout: see `Layer`.
    """

    def __init__(self, n_layers: int, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(dim, n_heads, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(dim)
        self.checkpointing = False

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return [B, L, dim]; see `Layer`. With ``checkpointing`` activations are computed again going back."""
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(layer, tokens, mask, use_reentrant=False)
            else:
                tokens = layer(tokens, mask)
        return self.norm(tokens)
