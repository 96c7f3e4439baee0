# Written by `python tests/stubs.py`: what editors and type checkers read of the rules beside this file.
# A call with a name that there is not, or a word for a number, is an error to them as it is when it runs.
# mypy: disable-error-code="override"
# pyright: reportIncompatibleMethodOverride=false
from gradstep.form.hyper import Hyper
from gradstep.rule import Rule, Stage

__all__ = ['adabelief', 'adadelta', 'adafactor', 'adagrad', 'adam', 'adamax', 'adamaxw', 'adamw', 'adan', 'ademamix', 'adopt', 'amsgrad', 'asgd', 'came', 'dadapt_adam', 'dadapt_sgd', 'dog', 'dowg', 'ftrl', 'lamb', 'laprop', 'lars', 'ldog', 'lion', 'madgrad', 'momentum', 'momo', 'muon', 'nadam', 'nadamw', 'nesterov', 'novograd', 'polyak', 'prodigy', 'psgd_kron', 'radam', 'rmsprop', 'rprop', 'schedule_free_adamw', 'schedule_free_sgd', 'sgd', 'sgdw', 'shampoo', 'signum', 'simplified_ademamix', 'sm3', 'soap', 'sophia', 'stable_adamw', 'yogi']

class _adabelief(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-16, eps_root: Hyper = 1e-16, *, name: str | None = None) -> Stage:
        """AdaBelief. Zhuang et al. 2020 (NeurIPS 33), arXiv:2010.07468, Algorithm 2.

        s averages the square of what the gradient differs from its average by: a step is long where the gradient is as
        expected. As in the authors' code eps_root is added to s at each step and stays in it.

        On a gradient without noise s goes to eps_root / (1 - beta2), and a step to millions of times the gradient: for those,
        take a larger eps.

        Shapes: theta, g, m, s alike.   Units: [g] = loss/[theta]; m in [g]; s and eps_root in [g]^2; lr in [theta]; eps in
        [g]; beta1, beta2 are pure numbers.
        """

adabelief: _adabelief

class _adadelta(Rule):
    def __call__(self, lr: Hyper = 1.0, rho: Hyper = 0.95, eps: Hyper = 1e-06, *, name: str | None = None) -> Stage:
        """Adadelta. Zeiler 2012, arXiv:1212.5701, Algorithm 1; lr, which the paper does not have (1), scales the step alone.

        Shapes: theta, g, s, u alike.   Units: [g] = loss/[theta]; s in [g]^2; u in the unit of eps, which stands beside both;
        so the rule keeps no scale (the paper's own remark): with eps in [g]^2, lr is in [theta]/[g]; rho is a pure number.
        """

adadelta: _adadelta

class _adafactor(Rule):
    def __call__(self, lr: Hyper = 0.01, decay_rate: Hyper = 0.8, eps1: Hyper = 1e-30, eps2: Hyper = 0.001, clip: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """Adafactor: the mean square of a matrix as a row and a column. Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 6.

        The paper's sums over rows and columns are means here, which gives the same quotient. An array of one axis is a column:
        c / mean(r) is then one, and what is left is the paper's Algorithm 5. More axes are a stack of matrices.

        Shapes: theta, g alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c, eps1 in [g]^2; eps2 in [theta];
        lr (the paper's bound of the relative step), decay_rate, clip are pure numbers.
        """

adafactor: _adafactor

class _adagrad(Rule):
    def __call__(self, lr: Hyper = 0.01, eps: Hyper = 1e-10, *, name: str | None = None) -> Stage:
        """Adagrad, diagonal. Duchi, Hazan & Singer 2011 (JMLR 12), Figure 1, with eps their delta.

        Shapes: theta, g, s alike.   Units: [g] = loss/[theta]; s in [g]^2; lr in [theta]; eps in [g].
        """

adagrad: _adagrad

class _adam(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """Adam. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
        beta1, beta2 are pure numbers.
        """

adam: _adam

class _adamax(Rule):
    def __call__(self, lr: Hyper = 0.002, beta1: Hyper = 0.9, beta2: Hyper = 0.999, *, name: str | None = None) -> Stage:
        """Adamax. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2.

        The paper has no eps: where no gradient has come yet, 0/0 counts as a step of zero.

        Shapes: theta, g, m, u alike.   Units: [g] = loss/[theta]; m, u in [g]; lr in [theta]; beta1, beta2 are pure numbers.
        """

adamax: _adamax

class _adamaxw(Rule):
    def __call__(self, lr: Hyper = 0.002, beta1: Hyper = 0.9, beta2: Hyper = 0.999, weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """AdamaxW: Adamax with decoupled weight decay. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2.

        The decay is that of Loshchilov & Hutter 2019, arXiv:1711.05101: lr * weight_decay * theta. Where no gradient has come
        yet, 0/0 counts as a step of zero.

        Shapes: theta, g, m, u alike.   Units: [g] = loss/[theta]; m, u in [g]; lr in [theta]; weight_decay in 1/[theta]; the
        betas are pure numbers.
        """

adamaxw: _adamaxw

class _adamw(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """AdamW: Adam with decoupled weight decay. Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2.

        The decay is lr * weight_decay * theta, as torch, optax and Keras have it: the paper's lambda is that product.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
        weight_decay in 1/[theta]; beta1, beta2 are pure numbers.
        """

adamw: _adamw

class _adan(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.98, beta2: Hyper = 0.92, beta3: Hyper = 0.99, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """Adan. Xie et al. 2022, arXiv:2208.06677, Algorithm 1, without the decay.

        The betas are ours: the paper writes 1 - beta. d is how the gradient has changed, v its average; the step looks ahead
        by beta2 of it. At t = 1 there is no change yet.

        Shapes: theta, g, m, v, n, last alike.   Units: [g] = loss/[theta]; m, v, last in [g]; n in [g]^2; lr in [theta]; eps
        in [g]; the betas are pure numbers.
        """

adan: _adan

class _ademamix(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, beta3: Hyper = 0.9999, alpha: Hyper = 5.0, eps: Hyper = 1e-08, alpha_steps: Hyper = 0.0, beta3_steps: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """AdEMAMix. Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, Algorithm 1.

        Adam with a second, much slower average m2, which is not corrected. Until alpha_steps its weight grows to alpha, and
        until beta3_steps beta3 grows from beta1, linearly in the half-life of the average; the authors advise the length of
        the training for both. With 0, the default, both are constant.

        Shapes: theta, g, m1, m2, v alike.   Units: [g] = loss/[theta]; m1, m2 in [g]; v in [g]^2; lr in [theta]; eps in [g];
        the betas and alpha are pure numbers; alpha_steps, beta3_steps are numbers of updates.
        """

ademamix: _ademamix

class _adopt(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.9999, eps: Hyper = 1e-06, clip_exponent: Hyper = 0.25, *, name: str | None = None) -> Stage:
        """ADOPT. Taniguchi et al. 2024 (NeurIPS 37), arXiv:2411.02853, Algorithm 2 with the bound of the authors' later code.

        The gradient is divided by the root of v before this gradient is in it, so the first update only makes v. The quotient
        is cut at (t - 1) to the power clip_exponent, 0 at the first update. eps is the least that is divided by.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; v in [g]^2; lr in [theta]; eps in [g]; m, the betas and
        clip_exponent are pure numbers.
        """

adopt: _adopt

class _amsgrad(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, *, name: str | None = None) -> Stage:
        """AMSGrad. Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 2: no bias correction, as in the paper.

        The paper has no eps: where no gradient has come yet, 0/0 counts as a step of zero.

        Shapes: theta, g, m, v, top alike.   Units: [g] = loss/[theta]; m in [g]; v, top in [g]^2; lr in [theta];
        beta1, beta2 are pure numbers.
        """

amsgrad: _amsgrad

class _asgd(Rule):
    def __call__(self, lr: Hyper = 0.01, lambd: Hyper = 0.0001, alpha: Hyper = 0.75, t0: Hyper = 1000000.0, *, name: str | None = None) -> Stage:
        """Averaged SGD. Polyak & Juditsky 1992, SIAM J. Control Optim. 30, as Bottou's code and torch have it.

        The rate falls as lr (1 + lambd lr (t - 1))^-alpha. ``opt.averaged()`` reads the average of the parameters from update
        t0 on; up to there it is the parameters themselves.

        Shapes: theta, g, average alike.   Units: [g] = loss/[theta]; average in [theta]; lr in [theta]/[g]; lambd in
        [g]/[theta]; alpha is a pure number; t0 is a number of updates.
        """

asgd: _asgd

class _came(Rule):
    def __call__(self, lr: Hyper = 0.0002, beta1: Hyper = 0.9, beta2: Hyper = 0.999, beta3: Hyper = 0.9999, eps1: Hyper = 1e-30, eps2: Hyper = 1e-16, clip: Hyper = 1.0, weight_decay: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """CAME: Adafactor whose step is divided by how far it strays from its average. Luo et al. 2023, arXiv:2307.02047.

        Algorithm 2, and the authors' code: averages are not corrected, and a column (an array of one axis) is not divided by
        the second estimate.

        Shapes: theta, g, m alike; r, s_r have one column, c, s_c one row.   Units: [g] = loss/[theta]; r, c, eps1 in [g]^2; lr
        in [theta]; weight_decay in 1/[theta]; m, s_r, s_c, eps2, the betas, clip are pure numbers.
        """

came: _came

class _dadapt_adam(Rule):
    def __call__(self, lr: Hyper = 1.0, beta1: Hyper = 0.9, beta2: Hyper = 0.999, d0: Hyper = 1e-06, growth: Hyper = 0.0, correction: Hyper = 0.0, eps: Hyper = 1e-08, weight_decay: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """D-Adapted Adam. Defazio & Mishchenko 2023 (ICML), arXiv:2301.07733, Algorithm 5, as the authors' code has it.

        Adam whose rate is lr times d: a lower bound of the distance to the solution, from sums over all arrays, that starts
        at d0 and never falls. lr is 1, or a schedule that ends at 0. With correction = 1 averages are corrected as Adam's
        are; growth bounds the factor by which d grows in one update, and 0 leaves it without a bound.

        Shapes: theta, g, m, v, s alike.   Units: [g] = loss/[theta]; d, d0 in [theta]; m, s in [theta][g]; v in [g]^2; eps in
        [g]; weight_decay in 1/[theta]; lr, the betas, growth are pure numbers.
        """

dadapt_adam: _dadapt_adam

class _dadapt_sgd(Rule):
    def __call__(self, lr: Hyper = 1.0, momentum: Hyper = 0.0, d0: Hyper = 1e-06, growth: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """D-Adapted SGD. Defazio & Mishchenko 2023 (ICML), arXiv:2301.07733, Algorithm 4, as the authors' code has it.

        Dual averaging from the start x0 with a rate of lr d over the norm of the first gradient; d is a lower bound of the
        distance to the solution, from sums over all arrays, that starts at d0 and never falls. lr is 1, or a schedule that
        ends at 0. growth bounds the factor by which d grows in one update, and 0 leaves it without a bound.

        Shapes: theta, g, s, x0 alike.   Units: [g] = loss/[theta]; d, d0, s, x0 in [theta]; lr, momentum, growth are pure
        numbers.
        """

dadapt_sgd: _dadapt_sgd

class _dog(Rule):
    def __call__(self, lr: Hyper = 1.0, reps_rel: Hyper = 1e-06, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """DoG: distance over gradients. Ivgi, Hinder & Carmon 2023 (ICML), arXiv:2302.12022, equation DoG.

        The rate is the largest distance from the start so far over the root of the sum of all squared gradients; lr is a
        factor of it, 1 in the paper. The first distance is reps_rel (1 + |theta_0|). The paper's results are those of
        averaged parameters: ``gs.chain(gs.dog(), gs.ema(...))``.

        Shapes: theta, g, x0 alike.   Units: [g] = loss/[theta]; x0 in [theta]; eps in [g]^2; lr is a pure number.
        """

dog: _dog

class _dowg(Rule):
    def __call__(self, lr: Hyper = 1.0, start: Hyper = 0.0001, eps: Hyper = 0.0001, *, name: str | None = None) -> Stage:
        """DoWG: distance over weighted gradients. Khaled, Mishchenko & Jin 2023, arXiv:2305.16284, Algorithm 1.

        The rate is the largest squared distance from the start so far, over the root of the sum of squared gradients, each
        times the squared distance of its time. lr is a factor of it, 1 in the paper.

        Shapes: theta, g, x0 alike.   Units: [g] = loss/[theta]; x0 in [theta]; start in [theta]^2; eps in [theta][g]; lr is a
        pure number.
        """

dowg: _dowg

class _ftrl(Rule):
    def __call__(self, lr: Hyper = 0.05, beta: Hyper = 1.0, l1: Hyper = 0.0, l2: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """FTRL-Proximal. McMahan et al. 2013 (KDD), "Ad click prediction", Algorithm 1, without its logistic loss.

        theta is a function of n and z alone: where it starts is forgotten, so start it at 0. Elements with |z| <= l1 are
        exactly 0, and so is one that has had no gradient where beta and l2 are 0. Keep lr constant, for z has it in it.

        Shapes: theta, g, n, z alike.   Units: [g] = loss/[theta]; z, beta, l1 in [g]; n in [g]^2; lr in [theta]; l2 in
        [g]/[theta].
        """

ftrl: _ftrl

class _lamb(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-06, weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """LAMB. You et al. 2020 (ICLR), arXiv:1904.00962, Algorithm 2, with phi the identity.

        Each array's step has the norm of lr times the array's own; where either norm is zero, their ratio counts as one.
        eps is added to the corrected root, as in Adam. The weight decay is in the step, before its norm is taken.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; eps in [g]; weight_decay in 1/[theta];
        lr, beta1, beta2 are pure numbers.
        """

lamb: _lamb

class _laprop(Rule):
    def __call__(self, lr: Hyper = 0.0004, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-15, *, name: str | None = None) -> Stage:
        """LaProp. Ziyin, Wang & Ueda 2020, arXiv:2002.04839, Algorithm 1.

        The gradient is divided by the root of its average square before it is averaged. lr stands inside the average, so that
        a schedule acts late; c, the average of lr, corrects it.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m, lr in [theta]; v in [g]^2; eps in [g]; the betas are
        pure numbers.
        """

laprop: _laprop

class _lars(Rule):
    def __call__(self, lr: Hyper = 1.0, momentum: Hyper = 0.9, weight_decay: Hyper = 0.0, trust: Hyper = 0.001, *, name: str | None = None) -> Stage:
        """LARS. You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1.

        Each array has a rate of its own, trust |theta| / (|g| + weight_decay |theta|), times lr; where theta or the
        denominator is zero, lr alone. The rate is folded into the velocity.

        Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; weight_decay in [g]/[theta]; lr, momentum, trust
        are pure numbers.
        """

lars: _lars

class _ldog(Rule):
    def __call__(self, lr: Hyper = 1.0, reps_rel: Hyper = 1e-06, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """L-DoG: distance over gradients for each array. Ivgi, Hinder & Carmon 2023 (ICML), arXiv:2302.12022, section 3.3.

        The rate is the largest distance from the start so far over the root of the sum of all squared gradients; lr is a
        factor of it, 1 in the paper. The first distance is reps_rel (1 + |theta_0|). The paper's results are those of
        averaged parameters: ``gs.chain(gs.ldog(), gs.ema(...))``.

        Shapes: theta, g, x0 alike.   Units: [g] = loss/[theta]; x0 in [theta]; eps in [g]^2; lr is a pure number.
        """

ldog: _ldog

class _lion(Rule):
    def __call__(self, lr: Hyper = 0.0001, beta1: Hyper = 0.9, beta2: Hyper = 0.99, *, name: str | None = None) -> Stage:
        """Lion. Chen et al. 2023, arXiv:2302.06675, Algorithm 2, without the decoupled decay: ``gs.chain(gs.decay, gs.lion)``.

        The step takes its sign from an average with beta1 of the momentum before it was updated; the momentum takes beta2.

        Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; m in [g]; lr in [theta]; beta1, beta2 are pure numbers.
        """

lion: _lion

class _madgrad(Rule):
    def __call__(self, lr: Hyper = 0.01, momentum: Hyper = 0.9, eps: Hyper = 1e-06, *, name: str | None = None) -> Stage:
        """MADGRAD. Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1, as the authors' code has it.

        Dual averaging from the start x0, divided by a cube root. eps is added to the rate too, as in the code.

        Shapes: theta, g, s, v, x0 alike.   Units: as the cube root has it, lr is in [theta]^(3/2) [g]^(1/2); eps is added to
        lr and to the root, so that it has no unit; momentum is a pure number.
        """

madgrad: _madgrad

class _momentum(Rule):
    def __call__(self, lr: Hyper = 0.01, momentum: Hyper = 0.9, *, name: str | None = None) -> Stage:
        """Heavy-ball momentum. Polyak 1964, equation 9; in the form of Sutskever et al. 2013 (ICML), equations 1 and 2.

        The learning rate is folded into the velocity, as in both papers.

        Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; lr in [theta]/[g]; momentum is a pure number.
        """

momentum: _momentum

class _momo(Rule):
    def __call__(self, lr: Hyper = 1.0, f_min: Hyper = 0.0, beta: Hyper = 0.9, *, name: str | None = None) -> Stage:
        """MoMo: momentum with a model of the loss. Schaipp et al. 2024 (ICML 41), arXiv:2305.07583, Algorithm 1.

        ``opt.step(grads, loss=f)``: d averages gradients, and three numbers average the loss, <d, theta> and <g, theta>: what
        the lines that were seen so far say of the loss here. The step is what brings that to f_min, and no longer than lr
        times d. Averages start at the first gradient.

        Shapes: theta, g, d alike; loss is a number.   Units: [g] = loss/[theta]; d in [g]; lr in [theta]/[g]; f_min in loss;
        beta is a pure number.
        """

momo: _momo

class _muon(Rule):
    def __call__(self, lr: Hyper = 0.02, momentum: Hyper = 0.95, weight_decay: Hyper = 0.0, eps: Hyper = 1e-07, *, name: str | None = None) -> Stage:
        """Muon: momentum with singular values near one. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.

        Five Newton-Schulz steps with the author's coefficients bring each singular value of the direction to 0.7 to 1.2; they
        are part of the rule. The scale is the square root of rows / columns where there are more rows: weights are (out, in).

        It is for matrices. An array of one axis is a column, and so moves by the direction of its momentum, all elements
        together: authors give biases, gains and embeddings to AdamW, as ``groups={"*.bias": gs.adamw()}`` does. An array of
        more axes is refused: hand in a view, ``w.reshape(len(w), -1)``.

        Shapes: theta, g, b alike.   Units: [g] = loss/[theta]; b, eps in [g]; lr in [theta]; weight_decay in 1/[theta].
        """

muon: _muon

class _nadam(Rule):
    def __call__(self, lr: Hyper = 0.002, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, momentum_decay: Hyper = 0.004, *, name: str | None = None) -> Stage:
        """NAdam: Adam with Nesterov momentum. Dozat 2016 (ICLR workshop), Algorithm 2.

        mu_t = beta1 (1 - 0.96^(t * momentum_decay) / 2) weighs momentum and gradient of step t; its product is kept as memory.
        The factor nu that the paper prints in its estimate of v is taken for a misprint: every library leaves it out.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
        beta1, beta2, momentum_decay are pure numbers.
        """

nadam: _nadam

class _nadamw(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, weight_decay: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """NAdamW. Dahl et al. 2023, arXiv:2306.07179 (AlgoPerf), as timm has it.

        Dozat's NAdam without its schedule of momentum: Adam with the average that the next step will have, without its
        gradient, and decoupled decay.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
        weight_decay in 1/[theta]; the betas are pure numbers.
        """

nadamw: _nadamw

class _nesterov(Rule):
    def __call__(self, lr: Hyper = 0.01, momentum: Hyper = 0.9, *, name: str | None = None) -> Stage:
        """Nesterov's accelerated gradient. Nesterov 1983; Sutskever et al. 2013 (ICML), equations 3 and 4.

        Theta is the point where the gradient is taken, one look ahead: Bengio et al. 2012, arXiv:1212.0901, equation 7.

        Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; lr in [theta]/[g]; momentum is a pure number.
        """

nesterov: _nesterov

class _novograd(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.95, beta2: Hyper = 0.98, eps: Hyper = 1e-08, weight_decay: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """NovoGrad. Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1.

        Each array's gradient is divided by the root of an average of its squared norm, one number for the array.

        Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; eps in [g]; m is a pure number; lr in [theta]; weight_decay in
        1/[theta]; beta1, beta2 are pure numbers.
        """

novograd: _novograd

class _polyak(Rule):
    def __call__(self, lr: Hyper = 1.0, f_min: Hyper = 0.0, eps: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """SGD with Polyak's step. Loizou et al. 2021 (AISTATS 24), arXiv:2002.10542, SPS_max with c = 1; Polyak 1987.

        ``opt.step(grads, loss=f)``: f is the loss at the parameters, f_min the least that it can be. The step is what would
        bring a linear loss to f_min, and no longer than lr times the gradient.

        Shapes: theta, g alike; loss is a number.   Units: [g] = loss/[theta]; lr in [theta]/[g]; f_min in loss; eps in [g]^2.
        """

polyak: _polyak

class _prodigy(Rule):
    def __call__(self, lr: Hyper = 1.0, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, weight_decay: Hyper = 0.0, d0: Hyper = 1e-06, d_coef: Hyper = 1.0, growth: Hyper = 0.0, correction: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """Prodigy. Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4, and the authors' code.

        Adam whose rate is lr times d: an estimate of the distance to the solution, from sums over all arrays, that starts at
        d0 and never falls. lr is 1, or a schedule that ends at 0. With correction = 1 averages are corrected as Adam's are;
        growth bounds the factor by which d grows in one update, and 0 leaves it without a bound. While all gradients have
        been zero, nothing moves.

        Shapes: theta, g, m, v, s, x0 alike.   Units: [g] = loss/[theta]; d, d0, x0 in [theta]; m, s in [theta][g]; v in the
        square of that; eps in [g]; weight_decay in 1/[theta]; lr, the betas, d_coef, growth are pure numbers.
        """

prodigy: _prodigy

class _psgd_kron(Rule):
    def __call__(self, lr: Hyper = 0.001, momentum: Hyper = 0.9, weight_decay: Hyper = 0.0, precond_lr: Hyper = 0.1, scale: Hyper = 1.0, *, name: str | None = None) -> Stage:
        """PSGD, whose preconditioner is a product of a triangle for each side. Li 2018, arXiv:1512.04202; timm's Kron.

        p and q are fitted so that the momentum and random numbers n come out alike, p m q' and p^-1' n q^-1: at each of the
        first 500 steps, then ever less often, down to every 34th. The step is p'p m q'q, cut to a root mean square of 1.1.
        They begin as identities, and stand for what is the root of ``scale`` times as large. Of a side of more than 2048
        elements, and of an array of one axis, each is a diagonal. timm brings both to one size now and then, which changes
        nothing but rounding; here they stay.

        noise, n here, is a function of the optimizer's ``seed``, the update, the parameter's name and the place in it, as in
        ``gs.gradient_noise``.

        Shapes: theta, g, m, noise alike; p, q are squares.   Units: [g] = loss/[theta]; m in [g]; scale in [g]^-1/2; lr in
        [theta]; weight_decay in 1/[theta]; momentum, precond_lr are pure numbers.
        """

psgd_kron: _psgd_kron

class _radam(Rule):
    def __call__(self, lr: Hyper = 0.001, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """RAdam: rectified Adam. Liu et al. 2020, arXiv:1908.03265, Algorithm 2.

        While the variance of the second moment is intractable (rho_t <= 4) the step is momentum with bias correction. eps,
        which the paper does not have, is added to the corrected root, as in Adam. rho_t comes from the mean lag of the weights
        in v, as the paper derives it: its closed form, a small difference of numbers near 2000, would lose three digits.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta] once rectified and in
        [theta]/[g] before (the paper's own mixture); eps in [g]; beta1, beta2 are pure numbers.
        """

radam: _radam

class _rmsprop(Rule):
    def __call__(self, lr: Hyper = 0.001, rho: Hyper = 0.9, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """RMSprop. Tieleman & Hinton 2012, lecture 6.5; eps, which the lecture does not have, is added to the root.

        Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [g]^2; lr in [theta]; eps in [g]; rho is a pure number.
        """

rmsprop: _rmsprop

class _rprop(Rule):
    def __call__(self, lr: Hyper = 0.01, shrink: Hyper = 0.5, grow: Hyper = 1.2, least: Hyper = 1e-06, most: Hyper = 50.0, *, name: str | None = None) -> Stage:
        """Rprop. Riedmiller & Braun 1993 (ICNN), as iRprop-: Igel & Hüsken 2003, Neurocomputing 50, Algorithm 4, and torch.

        Each element has a step size of its own, which grows while the sign of the gradient stays and shrinks where it
        changes; there the element stays for one update. Signs are compared, so that a product of small gradients cannot
        vanish. lr is the size before the first update, and nothing afterwards.

        Shapes: theta, g, last, size alike.   Units: [g] = loss/[theta]; last is a pure number; size, lr, least, most in
        [theta].
        """

rprop: _rprop

class _schedule_free_adamw(Rule):
    def __call__(self, lr: Hyper = 0.0025, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 1e-08, weight_decay: Hyper = 0.0, warmup: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """Schedule-free AdamW. Defazio et al. 2024 (NeurIPS 37), arXiv:2405.15682, Algorithm 1.

        theta is the paper's y, where gradients are taken; z goes by them; x, an average of z, is the result:
        ``opt.averaged()``. There is no mode to switch. Updates are weighed by the square of the largest rate so far. The
        decay is taken at y, in the direction. With warmup, the rate grows to lr in so many updates.

        Shapes: theta, g, x, z, v alike.   Units: [g] = loss/[theta]; x, z in [theta]; v in [g]^2; lr in [theta]; eps in [g];
        weight_decay in 1/[theta]; the betas are pure numbers; warmup is a number of updates.
        """

schedule_free_adamw: _schedule_free_adamw

class _schedule_free_sgd(Rule):
    def __call__(self, lr: Hyper = 1.0, beta1: Hyper = 0.9, warmup: Hyper = 0.0, *, name: str | None = None) -> Stage:
        """Schedule-free SGD. Defazio et al. 2024 (NeurIPS 37), arXiv:2405.15682, equations 3 to 5.

        theta is the paper's y, where gradients are taken; z goes by them; x, an average of z, is the result:
        ``opt.averaged()``. There is no mode to switch. Updates are weighed by the square of the largest rate so far. With
        warmup, the rate grows to lr in so many updates. In this form an lr of 0 keeps theta to the last bit.

        Shapes: theta, g, x, z alike.   Units: [g] = loss/[theta]; x, z in [theta]; lr in [theta]/[g]; beta1 is a pure number;
        warmup is a number of updates.
        """

schedule_free_sgd: _schedule_free_sgd

class _sgd(Rule):
    def __call__(self, lr: Hyper = 0.01, *, name: str | None = None) -> Stage:
        """Gradient descent. Cauchy 1847; Robbins & Monro 1951, equation 6, for noisy gradients.

        Shapes: theta, g alike.   Units: [g] = loss/[theta]; lr in [theta]/[g].
        """

sgd: _sgd

class _sgdw(Rule):
    def __call__(self, lr: Hyper = 0.01, momentum: Hyper = 0.9, weight_decay: Hyper = 0.0001, *, name: str | None = None) -> Stage:
        """SGDW: momentum with decoupled weight decay. Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 1.

        The decay is lr * weight_decay * theta, as libraries have it: the paper's lambda is that product.

        Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; lr in [theta]/[g]; weight_decay in [g]/[theta];
        momentum is a pure number.
        """

sgdw: _sgdw

class _shampoo(Rule):
    def __call__(self, lr: Hyper = 1.0, eps: Hyper = 0.0001, *, name: str | None = None) -> Stage:
        """Shampoo: the gradient between roots of its own second moments. Gupta, Koren & Singer 2018, arXiv:1802.09568.

        Algorithm 1 for a matrix; an array of one axis is a column, which takes the root of order two: Algorithm 2 of order one.
        left and right are sums, as in the paper, of products of the gradient with itself: a side of n elements takes n^2
        numbers of state and a time of n^3 at each step. Of a side of more than 768 elements the diagonal alone is kept, as in
        the authors' code. No eigenvalue counts for less than eps, which it starts with; one below 1e-7 of the largest is a
        rounding error in float32, which eps should be above.

        Shapes: theta, g alike; left, right are squares.   Units: [g] = loss/[theta]; left, right, eps in [g]^2; lr in [theta].
        """

shampoo: _shampoo

class _signum(Rule):
    def __call__(self, lr: Hyper = 0.0001, beta1: Hyper = 0.9, *, name: str | None = None) -> Stage:
        """Signum. Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2.

        Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; m in [g]; lr in [theta]; beta1 is a pure number.
        """

signum: _signum

class _simplified_ademamix(Rule):
    def __call__(self, lr: Hyper = 0.0001, beta1: Hyper = 0.99, beta2: Hyper = 0.95, alpha: Hyper = 0.0, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """Simplified AdEMAMix. Morwani et al. 2025, arXiv:2502.02431, and the authors' code.

        m is a sum of gradients and no average, so a good rate is about 1 - beta1 times Adam's.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; the betas
        and alpha are pure numbers.
        """

simplified_ademamix: _simplified_ademamix

class _sm3(Rule):
    def __call__(self, lr: Hyper = 0.1, momentum: Hyper = 0.9, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """SM3: Adagrad of a matrix with a number for each row and column. Anil et al. 2019 (NeurIPS), arXiv:1901.11150, SM3-II.

        A sum of squares is at most what its row and its column remember; these remember the largest sum in them. With momentum
        as in section 4 of the paper. An array of one axis is a column: it has Adagrad's sums.

        Shapes: theta, g, m alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c, eps in [g]^2; lr in [theta];
        m, momentum are pure numbers.
        """

sm3: _sm3

class _soap(Rule):
    def __call__(self, lr: Hyper = 0.003, beta1: Hyper = 0.95, beta2: Hyper = 0.95, shampoo_beta: Hyper = 0.95, eps: Hyper = 1e-08, weight_decay: Hyper = 0.01, every: Hyper = 10.0, *, name: str | None = None) -> Stage:
        """SOAP: Adam in the eigenvectors of Shampoo's averages. Vyas et al. 2024, arXiv:2409.11321.

        Algorithm 3 as in the authors' code: the first gradient gives the bases and moves nothing; eps stands beside the root
        before the corrections; the decay comes last. left and right are the averages, p and q their eigenvectors, of which
        every so many steps one orthogonal iteration is made; m and v are the moments as they see them. A side of n elements
        takes 2 n^2 numbers of state. One of more than 10000 has no basis, and an array of one axis none at all: that is Adam.

        Where the first gradient has several singular values of zero, or equal ones, the bases are LAPACK's choice.

        Shapes: theta, g, m, v alike; left, right, p, q are squares.   Units: [g] = loss/[theta]; m, eps in [g]; v, left, right
        in [g]^2; lr in [theta]; weight_decay in 1/[theta]; p, q, the betas are pure numbers.
        """

soap: _soap

class _sophia(Rule):
    def __call__(self, lr: Hyper = 0.0001, beta1: Hyper = 0.965, beta2: Hyper = 0.99, gamma: Hyper = 0.01, eps: Hyper = 1e-12, k: Hyper = 10.0, *, name: str | None = None) -> Stage:
        """Sophia. Liu et al. 2023, arXiv:2305.14342, Algorithm 3, without the decay: ``gs.chain(gs.decay(), gs.sophia())``.

        ``opt.step(grads, curvature=h)``: h estimates the Hessian's diagonal, by Hutchinson's or the Gauss-Newton-Bartlett
        estimator. It is looked at in updates 1, k + 1, 2 k + 1, ...; in between, hand in the one before. eps is the least that
        is divided by.

        Shapes: theta, g, curvature, m, h alike.   Units: [g] = loss/[theta]; m in [g]; curvature, h in [g]/[theta]; lr, gamma
        in [theta]; eps in [g]; the betas are pure numbers; k is a number of updates.
        """

sophia: _sophia

class _stable_adamw(Rule):
    def __call__(self, lr: Hyper = 0.001, weight_decay: Hyper = 0.01, beta1: Hyper = 0.9, beta2: Hyper = 0.99, eps: Hyper = 1e-08, *, name: str | None = None) -> Stage:
        """StableAdamW. Wortsman et al. 2023, arXiv:2304.13013, Algorithm 2: AdamW with Adafactor's clip of the update.

        Each array's rate is divided by the root mean square of g / sqrt(v), where that is more than one; so is the decay.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
        weight_decay in 1/[theta]; the betas are pure numbers.
        """

stable_adamw: _stable_adamw

class _yogi(Rule):
    def __call__(self, lr: Hyper = 0.01, beta1: Hyper = 0.9, beta2: Hyper = 0.999, eps: Hyper = 0.001, initial_accumulator: Hyper = 1e-06, *, name: str | None = None) -> Stage:
        """Yogi. Zaheer et al. 2018 (NeurIPS 31), Algorithm 2.

        v moves towards the square of the gradient by at most rest2 of that square, so that it falls slower than Adam's. The
        paper takes its start from a large batch; here it is a hyperparameter. Averages are not corrected.

        Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v and initial_accumulator in [g]^2; lr in
        [theta]; eps in [g]; beta1, beta2 are pure numbers.
        """

yogi: _yogi
