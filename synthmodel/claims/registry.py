"""The claims as data: `verify`, the report and the table of synthmodel/README.md are all made from this list."""

from dataclasses import dataclass

__all__ = ["CLAIMS", "ENDS_OF_N4", "OPEN", "PENALTIES", "STATUSES", "Claim"]

STATUSES = ("symbolic", "certified", "tested", "refuted")
# What a claim says is true for: no penalty in it; any decays of w1 and w2; one decay of both; one of every entry of W
PENALTIES = ("none", "any", "(w1, w2)", "W")
# K -> the last k, in hundred-thousandths, with r_CE > r_acc for every decay, in design A: figures/data/n4_ends.json
ENDS_OF_N4 = {3: 2.41405, 4: 2.51052, 5: 2.58403, 6: 2.64329, 7: 2.69286, 8: 2.73541, 9: 2.77264, 10: 2.80572}


@dataclass(frozen=True)
class Claim:
    """A claim of THEORY.md. source: "paper" (Wei, Guo, Wang 2025) or "new"; status: what carries it.

    symbolic: every step derived by sympy from the definitions (what sympy cannot decide is named there);
    certified: proved on a stated region by ball arithmetic, for cross-entropy on top of inner expectations that are
    doubles with an a-priori bound of their error; tested: compared with independent numerics, in the domain
    that `verify` prints; refuted: false as stated, with a counterexample.
    hypotheses: what it assumes beyond the model of THEORY.md, section 0.  instead: for a refuted claim, what is true.
    certified: the region on which such a proof, stored, holds for it or for a part of it, if there is one.
    penalty: one of PENALTIES. "(w1, w2)" is (lam/2)(w1^2 + w2^2), for three classes and in design A decay on the
    row-centred W (T1-W); what another does to it: G-decay. "any" means that every lam_e, lam_c > 0 will do.
    """

    id: str
    source: str
    statement: str
    status: str
    hypotheses: str = "none"
    instead: str = ""
    certified: str = ""
    penalty: str = "none"


CLAIMS = (
    # Section 0 and 1: the model and the margin loss
    Claim("A1", "new", "One perturbation, delta*, is the worst for every loss that does not decrease in the negative "
          "margins; it is not for label-smoothed cross-entropy and the soft-target margin", "symbolic"),
    Claim("T1", "paper", "Margin loss: w1 = max(mu - 2 eps, 0)/lam, w2 = max(mu - sigma/sqrt(pi) - 2 eps, 0)/lam, "
          "so w2 dies at eps0 = mu/2 - sigma/(2 sqrt(pi)), before w1", "symbolic", "sigma < sqrt(pi) mu for eps0 > 0",
          penalty="(w1, w2)"),
    Claim("T1-W", "new", "A general linear classifier has the minimiser [w1 (I - J/3) | -w2 (I - J/3)] with lam = "
          "2 lam_F: two weights are enough", "symbolic", "convex loss of score differences, invariant under permuting "
          "the classes; lam_F > 0", penalty="W"),
    Claim("N1", "new", "The loss drops w2 exactly where an infinitesimal w2 stops raising joint accuracy: "
          "P'(0+) = p_e(0) E[M], eps0 = E[min C]/2", "symbolic",
          "M independent of e; E|M| finite; p_e bounded, continuous and positive at 0", penalty="any"),
    Claim("U1", "new", "Theorem 1's thresholds are those of every loss phi(min_j m_j), phi convex and falling: w2 > 0 "
          "iff eps < eps0 = E[min C]/2, w1 > 0 iff eps < mu/2; for phi((1-b) min m + b mean m) the first is eps1",
          "symbolic", "any noise law without atoms, e independent of c; phi'(0) < 0 exists; a finite risk; the penalty "
          "convex, rising in w1, of slope 0 in w2 at w2 = 0 and in w1 at 0",
          penalty="any"),
    Claim("U1-l1", "new", "With l1 decay lam_1 |w2| beside the penalty U1's threshold is eps0 - lam_1/2", "refuted",
          "as U1; b = 0", instead="it is where E[M] = lam_1/E[-phi'(w1 e)] at the best w1 on w2 = 0: eps0 - lam_1/2 "
          "for the margin loss alone, below it for a phi that falls by at most 1 per unit, as hinge does",
          penalty="any"),
    Claim("U1-smoothing", "new", "Theorem 3 for every loss of U1: below eps1, w2 is larger than without smoothing",
          "refuted", "as U1; 0 < b < 1", instead="only between eps0 and eps1, where it is 0 without; the ratio w2/w1 "
          "rises in every case tried", penalty="(w1, w2)"),
    # Section 2: robust accuracy
    Claim("T2-pair", "paper", "Accuracy against any one other class rises with w2 up to w2 = w1, then falls",
          "symbolic", "eps < mu/2"),
    Claim("T2-joint", "paper", "Accuracy against both other classes rises with w2 up to w2 = w1", "refuted",
          "eps < mu/2", instead="it peaks at a ratio r_acc below 1 (T2-joint')"),
    Claim("T2-joint'", "new", "Joint accuracy is strictly unimodal in w2/w1, its maximiser r_acc lies below 1 and is "
          "0 iff eps >= eps0; above, it rises with k", "symbolic", "eps < mu/2",
          certified="k in [1/2, 8]: unimodal, one root, r_acc rising"),
    Claim("T2-unequal", "new", "At unequal noise joint accuracy is strictly unimodal, and the best ratio is positive "
          "iff k_C = d_C/sigma_C > 1/sqrt(pi)", "symbolic", "d_E > 0; k_E >= .046 or k_C <= 12.5 k_E (sharp up to "
          "rounding: unimodality ends at k_E = .0454, k_C = .571536, the threshold at k_E = .029, k_C = .564)",
          certified="F falls through its zeros for k_E >= .046 or k_C <= 12.5 k_E (derived for k_C <= 2.972 k_E)"),
    Claim("N2", "new", "The margin loss uses the cross-class feature too little: r_AT < r_acc", "symbolic",
          "equal noise; eps < eps0", certified="k in (1/sqrt(pi), 8]", penalty="(w1, w2)"),
    Claim("N2-unequal", "new", "N2 without its hypothesis of equal noise", "refuted", "eps < eps0",
          instead="near the threshold r_acc/r_AT tends to sigma_E^2/(sigma_C^2 (1 - 1/pi)), which may be below 1",
          penalty="(w1, w2)"),
    # Section 3: soft labels
    Claim("T3", "paper", "Smoothed margin: w2 dies at eps1 = mu/2 - (1-b) sigma/(2 sqrt(pi)) > eps0, and is larger "
          "than without smoothing below eps1", "symbolic", "0 < b < 1", penalty="(w1, w2)"),
    Claim("T3-target", "new", "Theorem 3 for the soft-target margin", "refuted", "0 < b < 1",
          instead="the threshold is that of T1 with (1-b) mu - sigma/sqrt(pi) over 2 - 2b (delta*) or 2 - b (exact "
          "attack): both below eps0", penalty="(w1, w2)"),
    Claim("N3", "new", "b* = 1 - sqrt(pi) k (1 - r_acc) maximises joint accuracy, lies in (0, 1) and increases with k; "
          "above eps0 every smoothing that revives w2 lowers it; every b in (0, 1) helps iff k is above one crossover "
          "k_x", "symbolic", "smoothed margin; equal noise; eps < eps0 for b*; the crossover for k < 8: certified",
          certified="k in (1/sqrt(pi), 8]: b* rising; one crossover k_x = 1.14537157938957640686...",
          penalty="(w1, w2)"),
    Claim("N3-entries", "new", "N3 with decay on the entries of W", "refuted", "smoothed margin; equal noise",
          instead="smoothing reaches w2/w1 = 1/2 at most: b* lies in (0, 1) iff 1/sqrt(pi) < k < .852705697..., and "
          "from there on every b raises accuracy", certified="r_acc = 1/2 at one k, between .852705697 and .852705698",
          penalty="W"),
    # Section 4: cross-entropy
    Claim("S1", "new", "Cross-entropy: r_CE = (lam + sigma^2 A)/(lam + sigma^2 B) in (0, 1), B - A = 2 E[p_2 p_3]: the "
          "deficit of w2 is the confusion between the wrong classes", "symbolic", "delta*; equal means and noises; eps "
          "< mu/2 for the ratio", penalty="(w1, w2)"),
    Claim("CE-2D", "new", "Every cross-entropy expectation is two-dimensional; at the optimum E[p_2 T] = 0 and 2 E[p_2 "
          "x] = L |w| for a wrong class 2", "symbolic", "b = 0 and eps < mu/2 for the conditions", penalty="(w1, w2)"),
    Claim("T1-CE", "new", "Theorem 1's sharp threshold for cross-entropy", "refuted", "0 <= b < 2/3; delta*",
          instead="both weights are positive for every eps < mu/2 and die together, with r -> (9L+2)/(9L+4)",
          penalty="(w1, w2)"),
    Claim("CE-monotone", "new", "r_CE falls strictly as eps grows", "certified", "b = 0; eps < mu/2; fixed lam and "
          "sigma; for lam/sigma^2 < 0.001 and k > 1.1 tested only, but where CE-monotone-ends proves it",
          certified="0.1 <= k <= 3, 0.001 <= lam/sigma^2 <= 10; 3 <= k <= 4.2, lam/sigma^2 >= 0.001; 0 < k <= 1.1, "
          "every lam; 1.1 <= k <= 3.5, lam/sigma^2 >= 10; with CE-monotone-ends: every k, lam/sigma^2 >= 0.001",
          penalty="(w1, w2)"),
    Claim("CE-monotone-ends", "new", "r_CE falls strictly as eps grows wherever w1 <= k/3, so for every eps if lam >= "
          "3 sigma^2, and for lam/sigma^2 >= 6 exp(-k^2/2)", "symbolic", "b = 0; fixed lam and sigma; eps < mu/2",
          penalty="(w1, w2)"),
    Claim("CE-monotone-corner", "new", "As k grows with k/w1 = beta fixed, 1/2 < beta < 1, the numerator N of r_CE's "
          "slope in k tends to a positive function of beta, pi^2/12 at beta = 1/2, that is, at lam = 0", "tested",
          "b = 0; no bound on the error", penalty="(w1, w2)"),
    Claim("T1-temp", "new", "The log-sum-exp over the wrong classes decouples and tends to the margin solution: "
          "|w_tau - w*| <= sqrt(2 tau log(K-1)/lam); w2 > 0 for every eps < mu/2", "symbolic", "lam > 0",
          penalty="(w1, w2)"),
    Claim("T1-temp-plain", "new", "Plain softmax cross-entropy tends to the margin solution as the temperature falls",
          "refuted", "lam > 0", instead="its weights tend to 0: w_tau = tau v", penalty="(w1, w2)"),
    Claim("T3-CE", "new", "Theorem 3 for label-smoothed cross-entropy under delta*", "refuted", "0 <= b < 2/3; eps < "
          "mu/2", instead="w1 + w2 falls as b grows (symbolic); w1, w2 and r each fall for k <= 1.5, w1 and w2 for k "
          "<= 3 (certified); r can rise a little for large k and tiny lam; at unequal noise each can rise "
          "(T3-CE-unequal)", certified="0 < k <= 1.5 (w1, w2, r), 1.5 <= k <= 3 (w1, w2), every lam; r rises at k = 4, "
          "lam/sigma^2 near 1e-9, b near 1e-7", penalty="(w1, w2)"),
    Claim("T3-CE-unequal", "new", "At unequal noise, too, w1, w2 and r fall as b grows under delta* (T3-CE)",
          "refuted", "equal means; 0 <= b < 2/3; eps < mu/2", instead="w1 + w2 falls, but each of the three can rise, "
          "and r by far: from 1.17 to 51 as b goes from 0 to .01 at d = 6.3766, sigma_E = 1, sigma_C = .12699, lam = "
          "3.262e-5", certified="w2 and r rise there near b = 3e-5; w1 rises at d = 12.579, sigma_C = 2.7345, lam near "
          "1.251e-6, b near 1e-7", penalty="(w1, w2)"),
    Claim("T3-CE-rates", "new", "Under delta* w1, w2 and r fall in b iff three differences of curvatures at the "
          "minimiser are positive: (1+x) Q > w2 x (x A_2 - Q_2), Q > w2 x (Q_1 - x A_1), x = w1/w2 - 1, and the slope "
          "of x A - Q along the ray", "symbolic", "0 <= b < 2/3; eps < mu/2", penalty="(w1, w2)"),
    Claim("T3-CE-exact", "new", "Under the attack that maximises the smoothed loss itself, smoothing can raise or "
          "lower r", "tested", "0 < b < 2/3; eps < mu/2", penalty="(w1, w2)"),
    Claim("S1-exact", "new", "Under the exact attack r = (lam + sigma_E^2 A)/(lam + sigma_C^2 B), A = E[F_jj + 2 F_jk "
          "+ F_kk], B = E[F_jj + F_kk + 2 rho F_jk] of the attacked loss F; at equal noises r > 1 iff the risk rises "
          "with the correlation of the cross-class features", "symbolic", "equal means; both weights positive",
          penalty="(w1, w2)"),
    Claim("T1-CE-exact", "new", "Under the exact attack, too, both weights live until mu/2 and die together, lam w_i "
          "<= (mu - 2 eps) E[pi - b]", "symbolic", "equal means; 0 < b < 2/3; lam > 0; any noises and rho",
          certified="its lemma (which vertices can win), for every 0 < b < 2/3", penalty="(w1, w2)"),
    Claim("T1-CE-exact-unequal", "new", "Under the exact attack the weight of the smaller mean is 0 from strictly "
          "before half that mean on; when w2 dies depends on neither sigma_C nor rho", "symbolic", "unequal means; "
          "0 < b < 2/3; lam > 0; that there is one such eps: seen on a grid", penalty="(w1, w2)"),
    Claim("N4", "new", "Cross-entropy uses the cross-class feature too much: r_CE > r_acc for every lam", "certified",
          "equal noise; b = 0; 0 < k <= 2.41405", certified="0 < k <= 2.41405, every lam >= 0", penalty="(w1, w2)"),
    Claim("N4-end", "new", "N4 for every k", "refuted", "equal noise; b = 0; eps < mu/2", instead="it ends between k = "
          "2.41405 and 2.41406", certified="the counterexamples k = 2.5, lam/sigma^2 = 1.7 and k = 2.41406, "
          "lam/sigma^2 = 1.57789", penalty="(w1, w2)"),
    Claim("N4-entries", "new", "N4 with decay on the entries of W", "refuted", "equal noise; b = 0; eps < mu/2",
          instead="r_CE tends to 1/2 as the decay grows, below r_acc for k > .8527: cross-entropy, too, uses too "
          "little, r_CE = .6295 < r_acc = .6365 at k = 1, lam_e/sigma^2 = .1", certified="the counterexamples (k, "
          "lam_e/sigma^2) = (1, .1), (1.2, .1), (2, .0001), lam_c = 2 lam_e", penalty="W"),
    Claim("N4-K", "new", "N4 for K classes: r_CE > r_acc for every lam, below an end k_K that rises with K: k_4 = "
          "2.5105, k_5 = 2.5840, k_6 = 2.6432, k_10 = 2.8057, rounded down; r_CE > 0 = r_acc up to e_{K-1}, so that "
          "k_K tends to infinity", "tested", "design A; equal noise; b = 0; 0 < k < k_K; the ends for K = 4 to 10, 20, "
          "30 and 100; proved up to e_{K-1}, for every K", penalty="(w1, w2)"),
    Claim("N4-K-end", "new", "N4-K for every k", "refuted", "design A; equal noise; b = 0; eps < mu/2; K = 4 to 10",
          instead="it fails at k = 2.51053, 2.58404, 2.6433, 2.69287, 2.73542, 2.77265 and 2.80573 for K = 4 to 10, "
          "less than .00001 beyond the ends found", certified="the counterexamples K = 4, k = 3, lam/sigma^2 = 3.2, "
          "and K = 4 to 10 at these k, lam/sigma^2 = 1.88073, 2.08959, 2.2449, 2.36628, 2.46457, 2.54629, 2.61565",
          penalty="(w1, w2)"),
    Claim("N5", "new", "Distillation: the conditions of S1 with the teacher's confusion as a pull towards its weights; "
          "it can raise or lower w2/w1", "symbolic", "teacher and student on the same input for tbar; w >= 0",
          penalty="(w1, w2)"),
    # Section 5: generalisations
    Claim("G-noise", "new", "eps0 = mu_C/2 - sigma_C sqrt((1-rho)/pi)/2; for any location-scale noise mu/2 - G/4, G "
          "the Gini mean difference", "symbolic", "finite mean", penalty="any"),
    Claim("G-decay", "new", "Decays lam_e of w1, lam_c of w2, q = lam_e/lam_c: eps0, eps1 and mu/2 stay; the margin "
          "losses' ratio is q times as large and b* = 1 - sqrt(pi) k (1 - r_acc/q), in (0, 1) iff q r_AT < r_acc < q; "
          "r_CE = (lam_e + sigma^2 A)/(lam_c + sigma^2 B), with the limit (9 L_e + 2)/(9 L_c + 4) at mu/2; decay on "
          "the entries of W is q = 1/2, on the row-centred W q = 1", "symbolic", "equal means and noises; delta*; eps "
          "< mu/2 for the ratios", penalty="any"),
    Claim("G-K", "new", "K classes: eps0 = (mu - sigma e_{K-1})/2 in design A, mu/2 - sigma e_{K-1}/(2(K-2)) in "
          "design B: as K grows A loses the feature, B keeps it", "symbolic", penalty="any"),
    Claim("G-joint-K", "new", "For K classes dP/dr has the sign of E[T] under the density of its section", "symbolic",
          "design A; equal noise"),
    Claim("C1", "new", "max imr''/(1 + imr') = .6070554...: the third central moment of a normal law times a "
          "log-concave factor is at least -C1 times its variance", "certified", "the skewness lemma for the second "
          "part", certified=".60705545 < C1 < .60705546"),
    Claim("T2-joint-K", "new", "T2-joint' for every K >= 3: strictly unimodal, r_acc = 0 iff k <= e_{K-1}", "symbolic",
          "design A; equal noise; eps < mu/2"),
    Claim("N2-K", "new", "r_AT = 1 - e_{K-1}/k < r_acc for every K >= 3, and b*_K lies in (0, 1)", "symbolic",
          "design A; equal noise; k > e_{K-1}", penalty="(w1, w2)"),
    Claim("T2-joint-B", "new", "T2-joint' in design B: strictly unimodal, r_acc = 0 iff k <= e_{K-1}/(K-2), rising "
          "with k", "symbolic", "design B; equal noise; eps < mu/2; K >= 3"),
    Claim("N2-B", "new", "In design B with decay on every entry of W, r_AT = 1 - e_{K-1}/((K-2) k) < r_acc and "
          "the best smoothing lies in (0, 1)", "symbolic", "design B; equal noise; k > e_{K-1}/(K-2); decay on (w1, "
          "w2) alone reverses it", penalty="W"),
    Claim("G-lp", "new", "An l_p attack costs eps 2^{1/q} |w|_q: w2 dies before w1 iff p = inf; the ratio lies below, "
          "at, above that of eps = 0 for p > 2, = 2, < 2", "symbolic", "margin loss; three classes; "
          "sigma < sqrt(pi) mu; eps > 0, up to w = 0", penalty="(w1, w2)"),
    # Section 6: dynamics
    Claim("D1", "new", "In the flow of the wrong-class log-sum-exp r falls from 1 to max(1 - (1-b)/(k sqrt(pi)), 0); "
          "accuracy first rises, then falls, iff eps < eps0 and b < b*", "symbolic", "equal noise; lam = 0; eps < "
          "mu/2; no teacher, or an untrained one, for r(0) = 1"),
    Claim("D1-any", "new", "D1 for any noise law and K: r falls from d_C/d_E to ((1-b) E M + b d_C)_+/d_E", "symbolic",
          "E c > 0, E e > 0; lam = 0; b < 1; c_j not all equal"),
    Claim("D2", "new", "Cross-entropy flow: r(0) = 1, r'(0) = -sigma^2/9, 0 < r < 1 for ever", "symbolic", "b = 0; eps "
          "< mu/2"),
    Claim("D2-monotone", "new", "In the cross-entropy flow the ratio decreases to its limit", "refuted", "b = 0; eps < "
          "mu/2", instead="from k between 2.3 and 2.4 on it falls below its limit and rises again (at k = 2.5 above "
          "it, by .2 %, before it settles)"),
    Claim("D2-overshoot", "new", "In the cross-entropy flow w2 overshoots its limit", "refuted", "b = 0; equal noise; "
          "eps < mu/2", instead="w2 rises to its limit in every case tried"),
    Claim("D3", "new", "In a finite sample the share of w2 and the robust accuracy rise, then fall; smoothing forgets "
          "more yet falls less on average; distillation on adversarial inputs nearly removes the fall; zeroing the "
          "noise weights lifts the end above the early stop, restoring the share lowers it: memorisation is the cause, "
          "forgetting a correlate", "tested", "sigma_E = .35, sigma_C = .6, eps = .2, 30 samples a class, 100 noise "
          "coordinates, exact attack"),
    Claim("D4", "new", "Rare wrong cross-class evidence is an l1 pull: w2 is never learned, learned and then "
          "forgotten, or kept; forgetting costs more than ten points near the lower end of its range at k = 1",
          "symbolic", "p -> 0, p S -> kappa; bulk noise of C zero; lam = 0; the ten points: tested"),
    Claim("D4-flows", "new", "As p -> 0 the flows of D4's mixtures tend to that of the limit, |w_p - w|^2 <= 4 t "
          "sup|R_p - R|, and so do their ends; yet w2(oo) > 0 for every p > 0: where w2 is forgotten it is y* p/kappa "
          "+ o(p)", "symbolic", "as D4; y* the root of kappa psi(y) = d pibar_1"),
    Claim("D4-unimodal", "new", "Where w2 is forgotten, w1 rises for ever and w2 rises once, then falls to 0",
          "symbolic", "as D4, d pibar_1 <= gamma < d pi_0; no remedy"),
    Claim("D4-accuracy", "new", "Where w2 is forgotten, accuracy is unimodal in time", "refuted", "as D4",
          instead="it may first fall and rise again by little before the large fall"),
    Claim("D4-remedies", "new", "In D4 an early teacher on the same inputs lessens the forgetting, and under a "
          "bounded loss nothing is forgotten; at k <= 1 label smoothing does not help", "tested", "as D4; K = 3"),
    Claim("D4-smoothing", "new", "In D4 label smoothing never helps", "refuted", "as D4",
          instead="the bulk stays less fitted, which at k = 2 saves w2"),
    # Section 7: what can be measured
    Claim("CAS", "new", "CAS = 6 r^2/(1 + 2 r^2) for g(x) = x; with row-centred W 6 r^2/(4 + 2 r^2): it depends on a "
          "gauge", "symbolic", "three classes"),
    Claim("CAS-separation", "new", "CAS rises with class separation where nothing is shared: independent rows W_i and "
          "means mu_0 + c W_i give K (K-1) rho/(1 + kappa rho), kappa = 3 for normal entries", "symbolic",
          "independent symmetric entries of one law, kurtosis kappa; many features, none of them dominant"),
    Claim("CAS-basis", "new", "A change of basis of its last features gives one classifier any CAS from 0 to K (K-1): "
          "a linear map of them, undone in W, changes no score; CAS <= K (K-2) where no class mean is negative, as "
          "after a ReLU", "symbolic", "K >= 3; W row-centred, of rank K-1; class means linearly independent; at least "
          "2 K features, and each class above the mean score at its own mean (some below, none at it: 3 K, and CAS "
          "below the ends); the bound: row-centred W alone"),
    Claim("mCAS", "new", "CAS and margin-CAS for features shared by m of K classes; margin-CAS is invariant under "
          "common rows, scale and rescaled features", "symbolic", "exact class means"),
    Claim("P-linear", "new", "A linear softmax classifier trained on samples has the ratio r_CE at lam = 2 lam_F",
          "tested", "delta*; eps < mu/2; within sampling error", penalty="W"),
    Claim("E-margins", "new", "r, k and the wrong-class spread follow from margins alone: corr = 1/(1+r^2), k = "
          "(mean/sd) sqrt(1+r^2)/(1+r), spread = w2 sigma e_{K-1}; at tau* the wrong-class log-sum-exp has r_acc",
          "symbolic", "design A; equal normal noise; no image difficulty common to all margins, which lowers r; "
          "tau*: three classes, k > 1/sqrt(pi)", penalty="(w1, w2)"),
    # Section 8: what no linear classifier can say
    Claim("B1", "new", "No classifier has a robust error below q_E (1 - (1 - (1-q)^K)/(K q)) in design A, q_E q^(n-1) "
          "(q n/K + (1-q) n/2) in design B, and one attains it: q^2 - q^3/3 for three classes. Cross-class features "
          "lower it at every eps > 0: exclusive ones alone give q_E (1 - 1/K)", "symbolic", "q_E, q = Pr(|x| <= 2 eps) "
          "of an exclusive and a cross-class feature, strictly between 0 and 1; any noise; rho >= 0, then in the mean"),
    Claim("B1-lp", "new", "Under an l_p attack of size eps the least robust error of deterministic classifiers lies "
          "between those of B1 at eps D^(-1/p) and at eps, D the most features in which two classes differ: 4 in "
          "design A, 2 (K-1) in design B; that of randomised ones with D the number of all features: 2 K in A, K "
          "(K+1)/2 in B",
          "symbolic", "1 <= p; as B1; an attack that sees what is drawn faces a deterministic classifier"),
    Claim("B1-linear", "new", "The best two-weight classifier is the best linear one, so that from eps0 on no linear "
          "classifier gains by cross-class features", "refuted", "three classes; equal means and noises", instead=
          "with constants in the scores the error comes near (Phi(-k) + Phi(-sqrt(2) k))/3, by a cross-class feature"),
    Claim("B1-rows", "new", "Without constants no linear classifier W x has a smaller robust error than the best two "
          "weights", "refuted", "three classes; equal means and noises", instead="at eps = 0 rows that are not alike "
          "come near (Phi(-sqrt(3) k) + 2 (1 - P(r_acc, k)))/3, less than 1 - P(r_acc, k) for every k, so that some W "
          "is better at every small eps; beyond eps0, too, as at mu = 1, sigma = 1.5, eps = .1"),
    Claim("G-share", "new", "Any sharing of features: eps0 is the root of E[M], M = min_j c_j in the mean over the "
          "classes; if each class has a wrong class that lacks none of its features, as within a superclass, w2 = 0 "
          "and r_acc = 0 for every eps; cross-entropy keeps w2 up to mu/2 whatever is shared", "symbolic",
          "independent features of one law; some two classes differ", penalty="any"),
    Claim("G-share-rule", "new", "eps0 > 0 only if every wrong class lacks a feature of the true one", "refuted",
          "any sharing of features", instead="only if that is so for one true class at least: it is a mean over them"),
    Claim("N1-sample", "new", "On N examples the two-weight margin loss has w2 > 0 iff the mean of min(C_2, C_3) is "
          "above 2 eps: a chance near Phi(2 sqrt(N) (eps0 - eps)/(sigma sqrt(1 - 1/pi))), exactly an integral of the "
          "N-th power of 2 exp(s^2/2) Phi(-s/sqrt(2)); w2/w1 is the same at every time of training", "symbolic",
          "w >= 0; equal normal noise; examples independent", penalty="any"),
    # Section 9: other readings of loss, penalty and attack
    Claim("R-sum", "new", "The sum over the wrong classes of phi(m_j) has no threshold before mu/2: w1 = w2, and "
          "both die there", "symbolic", "phi as in U1; equal means and noises for w1 = w2 (else w2 dies at mu_C/2)"),
    Claim("R-constraint", "new", "In place of the penalty, |w| = 1 has T1's and T3's eps0, eps1 and ratio, and w1 "
          "lives beyond mu/2; on w1 + w2 = 1, w2 = 0 for every eps and b; in max(w1, w2) <= 1, w2 is 1 up to eps0 "
          "or eps1, then 0, so that smoothing raises it between the two only", "symbolic", "margin loss; 0 <= b < 1"),
    Claim("R-labels", "new", "Smoothing as sum_y q_y l_y of the margin losses: w2 dies where (1-b)(k - 1/sqrt(pi)) "
          "= b k Phi(k), below eps0 and before w1, so that Theorem 3 fails", "symbolic", "delta*; w >= 0; 0 < b < "
          "1/2"),
    Claim("R-scores", "new", "For the loss f_j + f_k - f_i, w2 = 0 for every eps, and w1 dies at mu/3", "symbolic"),
    Claim("R-active", "new", "If the attack moves the active features only, every threshold doubles: eps0 = mu - "
          "sigma/sqrt(pi), eps1 = mu - (1-b) sigma/sqrt(pi), and w1 dies at mu", "symbolic", "margin loss; smoothed "
          "or not"),
    Claim("R-01", "new", "0-1 loss has w2 > 0 iff eps < eps0, at the ratio r_acc, and smoothing its labels changes "
          "nothing", "symbolic", "eps < mu/2; 0 <= b < 2/3; delta*"),
    Claim("R-squares", "new", "(1 - min_j m_j)^2 has the threshold eps0 under delta*, one below eps0 under its "
          "exact attack; squared loss on one-hot labels has w2 = 0 between the roots of 2 eps^2 - mu eps + sigma^2 "
          "+ lam/2 only", "symbolic", "w >= 0; b = 0; delta* for the second"),
    Claim("R-TRADES", "new", "TRADES of the margin loss has eps0/beta for eps0; with cross-entropy and KL no weight "
          "dies at w = 0 for any eps, and w2 > 0 in every case tried", "symbolic", "beta > 0; that w2 > 0: tested"),
)

# What nobody has proved or refuted yet, as far as we know.
OPEN = (
    "that r_CE falls in eps (CE-monotone) for k > 1.1 and lam/sigma^2 < min(0.001, 6 exp(-k^2/2))",
    "that w1 and w2 fall in b under delta* for k > 3 (T3-CE)",
    "a proof of N4 for K > 3 (N4-K) between e_{K-1} and its end",
    "from which eps on no linear classifier without constants beats the best two weights (B1-rows)",
    "the robust Bayes error under l_p attacks between the bounds of B1-lp, and for rho < 0 (B1)",
    "unimodality of w2 in D4 where it is kept, and when exactly label smoothing helps there",
    "the predictions for networks (D4-remedies): trimming, smoothing, early teachers",
)
