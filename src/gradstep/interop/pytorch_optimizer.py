"""State from and to pytorch_optimizer's optimizers, for optimizers of ours and for the guest in torch."""

from gradstep.interop.state.pytorch_optimizer import KINDS, REFUSED
from gradstep.interop.torch.others import Library

_LIBRARY = Library("pytorch_optimizer", KINDS, REFUSED)
load_state, dump_state = _LIBRARY.load_state, _LIBRARY.dump_state
