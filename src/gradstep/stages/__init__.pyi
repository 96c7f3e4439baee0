# Written by `python tests/stubs.py`: what editors and type checkers read of the stages beside this file.
# A call with a name that there is not, or a word for a number, is an error to them as it is when it runs.
# mypy: disable-error-code="override"
# pyright: reportIncompatibleMethodOverride=false
from gradstep.form.hyper import Hyper
from gradstep.rule import Rule, Stage

__all__ = ['accumulate', 'agc_columns', 'agc_rows', 'cautious', 'cautious_decay', 'centralize_columns', 'centralize_rows', 'clip_by_global_norm', 'clip_by_norm', 'clip_by_value', 'corrected_decay', 'decay', 'ema', 'ema_corrected', 'ema_warmed', 'gradient_noise', 'l1_decay', 'l2', 'lookahead', 'mars', 'maximize', 'polynomial_average', 'project_box', 'project_l1_ball', 'project_l2_ball', 'project_nonnegative', 'project_simplex', 'proximal_decay', 'schedule_free', 'swa', 'unscale']

class _accumulate(Rule):
    def __call__(self, k: Hyper = 2.0, *, name: str | None = None) -> Stage:
        """The mean of k gradients, handed on at the k-th call. Units: none; k is a number of calls.
        """

accumulate: _accumulate

class _agc_columns(Rule):
    def __call__(self, clip: Hyper = 0.01, floor: Hyper = 0.001, *, name: str | None = None) -> Stage:
        """Adaptive gradient clipping by units along the last axis: gradstep.nn, Keras, Flax. Brock et al. 2021, (3).

        A unit's gradient is cut to the norm clip max(|theta|, floor). Units: floor in [theta]; clip in [g]/[theta].
        """

agc_columns: _agc_columns

class _agc_rows(Rule):
    def __call__(self, clip: Hyper = 0.01, floor: Hyper = 0.001, *, name: str | None = None) -> Stage:
        """Adaptive gradient clipping by units along the first axis: torch. Brock et al. 2021, arXiv:2102.06171, (3).

        A unit's gradient is cut to the norm clip max(|theta|, floor). Units: floor in [theta]; clip in [g]/[theta].
        """

agc_rows: _agc_rows

class _cautious(Rule):
    def __call__(self, *, name: str | None = None) -> Stage:
        """Cautious steps. Liang et al. 2024, arXiv:2411.16085, Algorithm 1.

        What the rule before it did to an element is kept where it goes against the element's gradient, and undone elsewhere;
        what is kept grows by the share that was undone, for each array by itself. A decay that has been done before the rule
        stays: ``gs.chain(gs.decay(), gs.adam(lr=1e-3), gs.cautious)``.

        Shapes: before, theta, g alike.
        """

cautious: _cautious

class _cautious_decay(Rule):
    def __call__(self, lr: Hyper = ..., weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """The decay of theta where the step of the rule before goes towards zero as well: HeavyBall 3.2.1.

        It comes behind the rule. Chen et al. 2025, arXiv:2510.12402. Units: lr * weight_decay is a pure number.
        """

cautious_decay: _cautious_decay

class _centralize_columns(Rule):
    def __call__(self, *, name: str | None = None) -> Stage:
        """Gradient centralization by units along the last axis: gradstep.nn, Keras, Flax. Yong et al. 2020, (1).
        """

centralize_columns: _centralize_columns

class _centralize_rows(Rule):
    def __call__(self, *, name: str | None = None) -> Stage:
        """Gradient centralization by units along the first axis: torch, and optax.centralize. Yong et al. 2020, (1).
        """

centralize_rows: _centralize_rows

class _clip_by_global_norm(Rule):
    def __call__(self, max_norm: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """All gradients scaled together to the norm max_norm where it is longer. Pascanu et al. 2013, Algorithm 1.
        """

clip_by_global_norm: _clip_by_global_norm

class _clip_by_norm(Rule):
    def __call__(self, max_norm: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Each array's g scaled to the norm max_norm where it is longer. Pascanu et al. 2013, Algorithm 1.
        """

clip_by_norm: _clip_by_norm

class _clip_by_value(Rule):
    def __call__(self, max_value: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Each element of g into [-max_value, max_value]. Units: max_value in [g]; default 1.
        """

clip_by_value: _clip_by_value

class _corrected_decay(Rule):
    def __call__(self, lr: Hyper = ..., weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """Theta shrunk by lr^2 / top * weight_decay, with top the largest lr so far: Defazio 2025, arXiv:2506.02285, AdamC.

        As the rate falls, the norms of weights stay as they are. Units: lr * weight_decay is a pure number.
        """

corrected_decay: _corrected_decay

class _decay(Rule):
    def __call__(self, lr: Hyper = ..., weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """Theta shrunk by lr * weight_decay, apart from the gradient: Loshchilov & Hutter 2019, arXiv:1711.05101.

        lr is the one of the chain's rule. Units: lr * weight_decay is a pure number.
        """

decay: _decay

class _ema(Rule):
    def __call__(self, decay: Hyper = 0.999, *, name: str | None = None) -> Stage:
        """The exponential average that starts at the first parameters. Kingma & Ba 2015, arXiv:1412.6980, section 7.2.

        So it needs no correction. Units: decay is a pure number.
        """

ema: _ema

class _ema_corrected(Rule):
    def __call__(self, decay: Hyper = 0.999, *, name: str | None = None) -> Stage:
        """The exponential average with Adam's correction. Kingma & Ba 2015, arXiv:1412.6980, sections 3 and 7.2.

        The theta of update i weighs decay^(t - i), and the weights add up to 1. Units: decay is a pure number.
        """

ema_corrected: _ema_corrected

class _ema_warmed(Rule):
    def __call__(self, decay: Hyper = 0.9999, gamma: Hyper = 1.0, power: Hyper = 0.6666666666666666, *, name: str | None = None) -> Stage:
        """The exponential average that begins with short memory: timm 1.0.31, ModelEmaV3 with use_warmup.

        Its decay is 1 - (1 + n / gamma)^-power after n updates, and ``decay`` at most. Units: pure numbers.
        """

ema_warmed: _ema_warmed

class _gradient_noise(Rule):
    def __call__(self, eta: Hyper = 0.01, gamma: Hyper = 0.55, *, name: str | None = None) -> Stage:
        """Noise in the gradient. Neelakantan et al. 2015, arXiv:1511.06807, section 3.

        It comes before the rule. Its variance is eta / t^gamma. What is drawn is a function of the optimizer's ``seed``, the
        update, the parameter's name and the place in it, so that a resumed run goes on with the same numbers, on any engine and
        any number of threads.

        Shapes: theta, g, z alike.   Units: eta in [g]^2; gamma is a pure number; z is a standard normal number.
        """

gradient_noise: _gradient_noise

class _l1_decay(Rule):
    def __call__(self, lr: Hyper = ..., l1: Hyper = 0.0001, *, name: str | None = None) -> Stage:
        """Theta moved towards zero by lr * l1, and no further: the proximal step of l1 |theta|, behind the rule.

        Duchi & Singer 2009 (JMLR 10), FOBOS. Units: lr * l1 in [theta].
        """

l1_decay: _l1_decay

class _l2(Rule):
    def __call__(self, weight_decay: Hyper = 0.0001, *, name: str | None = None) -> Stage:
        """The gradient of weight_decay/2 |theta|^2 added to g, before the rule: Loshchilov & Hutter 2019, arXiv:1711.05101.

        Units: weight_decay in [g]/[theta].
        """

l2: _l2

class _lookahead(Rule):
    def __call__(self, k: Hyper = 5.0, share: Hyper = 0.5, *, name: str | None = None) -> Stage:
        """Lookahead. Zhang et al. 2019 (NeurIPS 32), arXiv:1907.08610, Algorithm 1, around the rule before it.

        Every k updates slow parameters go a share of the way to the fast ones, which go on from there. ``opt.averaged()``
        reads the slow ones.

        Shapes: theta, g, slow alike.   Units: slow in [theta]; share is a pure number; k is a number of updates.
        """

lookahead: _lookahead

class _mars(Rule):
    def __call__(self, max_norm: Hyper = 1.0, beta1: Hyper = ..., gamma: Hyper = 0.025, *, name: str | None = None) -> Stage:
        """MARS: the gradient with a correction of its variance. Yuan et al. 2024, arXiv:2411.10438, Algorithm 2, approximate.

        The gradient before stands for that of the parameters before on this batch, which would be another evaluation. In a
        chain it comes before the rule, whose beta1 it takes: ``gs.chain(gs.decay(), gs.mars(), gs.adam(beta1=0.95))``. What it
        gives is scaled to the norm max_norm where it is longer, for each array.

        Shapes: theta, g, last alike.   Units: last, max_norm in [g]; gamma, beta1 are pure numbers.
        """

mars: _mars

class _maximize(Rule):
    def __call__(self, *, name: str | None = None) -> Stage:
        """The gradient's sign turned, so that the rule after it maximises.
        """

maximize: _maximize

class _polynomial_average(Rule):
    def __call__(self, gamma: Hyper = 8.0, *, name: str | None = None) -> Stage:
        """The average that forgets at the pace of t. Shamir & Zhang 2013, arXiv:1212.1824, section 4, which DoG takes.

        The theta of update i weighs about i^gamma; a gamma of 0 makes all equal. Units: gamma is a pure number.
        """

polynomial_average: _polynomial_average

class _project_box(Rule):
    def __call__(self, low: Hyper = -1.0, high: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Each element of theta into [low, high]. Units: low, high in [theta].
        """

project_box: _project_box

class _project_l1_ball(Rule):
    def __call__(self, radius: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Each array's theta to the nearest whose absolute values add up to radius, where they add up to more.

        Duchi et al. 2008 (ICML). Many elements become 0. Units: radius in [theta].
        """

project_l1_ball: _project_l1_ball

class _project_l2_ball(Rule):
    def __call__(self, radius: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Each array's theta scaled to the norm radius where it is longer. Units: radius in [theta].
        """

project_l2_ball: _project_l2_ball

class _project_nonnegative(Rule):
    def __call__(self, *, name: str | None = None) -> Stage:
        """Each element of theta that is below zero set to zero.
        """

project_nonnegative: _project_nonnegative

class _project_simplex(Rule):
    def __call__(self, radius: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Each array's theta to the nearest whose elements are not below zero and add up to radius.

        Held, Wolfe & Crowder 1974; Duchi et al. 2008 (ICML), figure 1. Units: radius in [theta].
        """

project_simplex: _project_simplex

class _proximal_decay(Rule):
    def __call__(self, lr: Hyper = ..., weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """Weight decay as a proximal step. Xie et al. 2022, arXiv:2208.06677, Algorithm 1, line 8, which is Adan's default.

        It comes behind the rule: ``gs.chain(gs.adan(), gs.proximal_decay(weight_decay=0.02))``.

        Shapes: theta, g alike.   Units: lr * weight_decay is a pure number.
        """

proximal_decay: _proximal_decay

class _schedule_free(Rule):
    def __call__(self, lr: Hyper = ..., beta: Hyper = 0.9, *, name: str | None = None) -> Stage:
        """Schedule-free averaging around any rule. Defazio et al. 2024 (NeurIPS 37), arXiv:2405.15682, Algorithm 1.

        It comes behind all that moves theta, which is the paper's y, where gradients are taken: z makes the whole step that
        was made before it, a decay too, and x, an average of z, is the result: ``opt.averaged()``. Updates are weighed by the
        square of the largest lr so far, so a schedule of lr may warm up and should not fall. The rule should have no momentum
        of its own: ``gs.chain(gs.decay(), gs.adam(beta1=0.0), gs.schedule_free())`` is :func:`gradstep.schedule_free_adamw`.

        What a rule takes from the parameters, as LAMB does, it takes from y; the authors' wrapper hands it z.

        Shapes: before, theta, g, x, z alike.   Units: x, z in [theta]; beta is a pure number.
        """

schedule_free: _schedule_free

class _swa(Rule):
    def __call__(self, start: Hyper = 0.0, every: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """The equal average of theta at each ``every``-th update behind ``start``. Izmailov et al. 2018, arXiv:1803.05407.

        Algorithm 1; until the first of these updates it is theta itself. Units: start, every are numbers of updates.
        """

swa: _swa

class _unscale(Rule):
    def __call__(self, loss_scale: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """The gradient divided by the factor that the loss was scaled with, a pure number; before clipping and the rule.
        """

unscale: _unscale
