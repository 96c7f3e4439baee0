"""State from and to timm's optimizers, for optimizers of ours and for the guest in torch."""

from gradstep.interop.state.timm import KINDS, REFUSED
from gradstep.interop.torch.others import Library

_LIBRARY = Library("timm", KINDS, REFUSED)
load_state, dump_state = _LIBRARY.load_state, _LIBRARY.dump_state
