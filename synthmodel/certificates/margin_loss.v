(* Theorems 1 and 3 of the paper (THEORY.md, T1 and T3) for Coq: `coqc margin_loss.v` checks this file, which uses the
   standard library's real numbers alone.

   What is assumed is what the Section below says: an expectation that is linear, the means of the active features, and
   E |C2 - C3| = 2 sigma/sqrt(pi), the only place where the law is normal. The attack, the risk, its only minimiser and
   the thresholds are proved. Theorem 1 is smoothing b = 0. *)

Require Import Reals Lra Psatz.
Open Scope R_scope.

(* The scores of the three classes, at features (e1, e2, e3, c1, c2, c3). *)
Definition f1 (w1 w2 e1 e2 e3 c1 c2 c3 : R) := w1 * e1 + w2 * (c2 + c3).
Definition f2 (w1 w2 e1 e2 e3 c1 c2 c3 : R) := w1 * e2 + w2 * (c1 + c3).
Definition f3 (w1 w2 e1 e2 e3 c1 c2 c3 : R) := w1 * e3 + w2 * (c1 + c2).

(* The smoothed margin loss of class 1 at smoothing b, of g2 = f2 - f1 and g3 = f3 - f1; b = 0: the margin loss. *)
Definition loss (b g2 g3 : R) := (1 - b) * Rmax g2 g3 + b * (g2 + g3) / 2.

(* It at the active features (E, C2, C3) of class 1, moved by a perturbation d. *)
Definition at_point (b w1 w2 E C2 C3 d1 d2 d3 d4 d5 d6 : R) :=
  let f g := g w1 w2 (E + d1) d2 d3 d4 (C2 + d5) (C3 + d6) in loss b (f f2 - f f1) (f f3 - f f1).

Definition inside (eps d : R) := - eps <= d <= eps.

(* The attacked loss in closed form. *)
Definition attacked (b eps w1 w2 E C2 C3 : R) :=
  - w1 * E - w2 * (C2 + C3) / 2 + (1 - b) * Rabs w2 * Rabs (C2 - C3) / 2 + 2 * eps * (Rabs w1 + Rabs w2).

Lemma loss_rises : forall b g2 g3 h2 h3, 0 <= b <= 1 -> g2 <= h2 -> g3 <= h3 -> loss b g2 g3 <= loss b h2 h3.
Proof.
  intros b g2 g3 h2 h3 Hb H2 H3. unfold loss.
  assert (Rmax g2 g3 <= Rmax h2 h3) by (unfold Rmax; repeat destruct Rle_dec; lra).
  nra.
Qed.

Lemma product_bound : forall w d eps, inside eps d -> - (eps * Rabs w) <= w * d <= eps * Rabs w.
Proof. intros w d eps [H1 H2]. unfold Rabs. destruct Rcase_abs; split; nra. Qed.

(* The margin loss's maximum, half the sum and half the distance. *)
Lemma max_is : forall x y, Rmax x y = (x + y + Rabs (x - y)) / 2.
Proof. intros. unfold Rmax, Rabs. destruct Rle_dec; destruct Rcase_abs; lra. Qed.

Lemma closed_form : forall b eps w1 w2 E C2 C3,
  loss b (- w1 * E - w2 * C2 + 2 * eps * (Rabs w1 + Rabs w2)) (- w1 * E - w2 * C3 + 2 * eps * (Rabs w1 + Rabs w2))
  = attacked b eps w1 w2 E C2 C3.
Proof.
  intros. unfold loss, attacked. rewrite max_is.
  replace (- w1 * E - w2 * C2 + 2 * eps * (Rabs w1 + Rabs w2)
           - (- w1 * E - w2 * C3 + 2 * eps * (Rabs w1 + Rabs w2))) with (- (w2 * (C2 - C3))) by ring.
  rewrite Rabs_Ropp, Rabs_mult. field.
Qed.

(* A1 for these losses: no perturbation in the box does worse, *)
Theorem attack_bound : forall b eps w1 w2 E C2 C3 d1 d2 d3 d4 d5 d6, 0 <= b <= 1 ->
  inside eps d1 -> inside eps d2 -> inside eps d3 -> inside eps d4 -> inside eps d5 -> inside eps d6 ->
  at_point b w1 w2 E C2 C3 d1 d2 d3 d4 d5 d6 <= attacked b eps w1 w2 E C2 C3.
Proof.
  intros b eps w1 w2 E C2 C3 d1 d2 d3 d4 d5 d6 Hb H1 H2 H3 H4 H5 H6.
  rewrite <- closed_form. unfold at_point. apply loss_rises; trivial; unfold f1, f2, f3;
  pose proof (product_bound w1 d1 eps H1); pose proof (product_bound w1 d2 eps H2);
  pose proof (product_bound w1 d3 eps H3); pose proof (product_bound w2 d4 eps H4);
  pose proof (product_bound w2 d5 eps H5); pose proof (product_bound w2 d6 eps H6); lra.
Qed.

(* and delta* does as badly. *)
Definition sign (w : R) := if Rcase_abs w then -1 else 1.

Theorem attack_reached : forall b eps w1 w2 E C2 C3, 0 <= eps ->
  let s1 := eps * sign w1 in let s2 := eps * sign w2 in
  (inside eps s1 /\ inside eps s2) /\
  at_point b w1 w2 E C2 C3 (- s1) s1 s1 s2 (- s2) (- s2) = attacked b eps w1 w2 E C2 C3.
Proof.
  intros b eps w1 w2 E C2 C3 He s1 s2. split.
  - unfold s1, s2, inside, sign. split; destruct Rcase_abs; lra.
  - rewrite <- closed_form. unfold at_point, f1, f2, f3, s1, s2, sign, Rabs.
    destruct (Rcase_abs w1); destruct (Rcase_abs w2); f_equal; ring.
Qed.

(* -v x + c |x| + (lam/2) x^2 has the only minimiser max(v - c, 0)/lam. *)
Lemma soft_threshold : forall v c lam x, 0 < lam -> 0 < v -> 0 <= c ->
  let S y := - v * y + c * Rabs y + lam / 2 * (y * y) in let best := Rmax (v - c) 0 / lam in
  S x >= S best + lam / 2 * ((x - best) * (x - best)).
Proof.
  intros v c lam x Hl Hv Hc S best. unfold S. assert (Hb : lam * best = Rmax (v - c) 0) by (unfold best; field; lra).
  assert (0 <= best) by (unfold best; apply Rmult_le_pos;
    [apply Rmax_r | left; apply Rinv_0_lt_compat; trivial]).
  rewrite (Rabs_pos_eq best) by trivial.
  assert (Hx : lam * best * x <= lam * best * Rabs x).
  { apply Rmult_le_compat_l; [nra | apply Rle_abs]. }
  assert (0 <= Rabs x) by apply Rabs_pos. pose proof (Rle_abs x).
  unfold Rmax in Hb. destruct Rle_dec in Hb.
  - assert (best = 0) by nra. subst best. nra.
  - assert (lam * best * x = (v - c) * x) by (rewrite Hb; ring). nra.
Qed.

Section Model.

(* An expectation: a linear functional of functions on some space. *)
Variable Omega : Type.
Variable mean : (Omega -> R) -> R.
Hypothesis additive : forall X Y, mean (fun o => X o + Y o) = mean X + mean Y.
Hypothesis homogeneous : forall a X, mean (fun o => a * X o) = a * mean X.
Hypothesis total : forall a, mean (fun _ => a) = a.
Hypothesis extensional : forall X Y, (forall o, X o = Y o) -> mean X = mean Y.

(* The active features of class 1; the other classes have the same risk by symmetry. *)
Variables (E C2 C3 : Omega -> R) (mu sigma : R).
Hypothesis positive_mu : 0 < mu.
Hypothesis positive_sigma : 0 < sigma.
Hypothesis mean_E : mean E = mu.
Hypothesis mean_C2 : mean C2 = mu.
Hypothesis mean_C3 : mean C3 = mu.
Hypothesis distance : mean (fun o => Rabs (C2 o - C3 o)) = 2 * sigma / sqrt PI.

Variables (b lam eps : R).
Hypothesis smoothing : 0 <= b < 1.
Hypothesis decay : 0 < lam.
Hypothesis size : 0 <= eps.

Definition risk (w1 w2 : R) :=
  mean (fun o => attacked b eps w1 w2 (E o) (C2 o) (C3 o)) + lam / 2 * (w1 * w1 + w2 * w2).

Definition best1 := Rmax (mu - 2 * eps) 0 / lam.
Definition best2 := Rmax (mu - (2 * eps + (1 - b) * sigma / sqrt PI)) 0 / lam.
Definition threshold (b : R) := mu / 2 - (1 - b) * sigma / (2 * sqrt PI).

Lemma root_pi : 0 < sqrt PI.
Proof. apply sqrt_lt_R0, PI_RGT_0. Qed.

Lemma risk_separates : forall w1 w2, risk w1 w2 =
  (- mu * w1 + 2 * eps * Rabs w1 + lam / 2 * (w1 * w1))
  + (- mu * w2 + (2 * eps + (1 - b) * sigma / sqrt PI) * Rabs w2 + lam / 2 * (w2 * w2)).
Proof.
  intros w1 w2. unfold risk.
  rewrite (extensional _ (fun o => (- w1 * E o + - (w2 / 2) * C2 o) + (- (w2 / 2) * C3 o
    + ((1 - b) * Rabs w2 / 2 * Rabs (C2 o - C3 o) + 2 * eps * (Rabs w1 + Rabs w2)))))
    by (intro o; unfold attacked; field).
  rewrite !additive, !homogeneous, total, mean_E, mean_C2, mean_C3, distance.
  field. apply Rgt_not_eq, root_pi.
Qed.

(* Theorems 1 and 3: the minimiser of the robust risk, and that it is the only one. *)
Theorem minimiser : forall w1 w2, risk w1 w2 >=
  risk best1 best2 + lam / 2 * ((w1 - best1) * (w1 - best1) + (w2 - best2) * (w2 - best2)).
Proof.
  intros w1 w2. rewrite !risk_separates.
  assert (0 <= (1 - b) * sigma / sqrt PI).
  { apply Rmult_le_pos; [nra | left; apply Rinv_0_lt_compat, root_pi]. }
  pose proof (soft_threshold mu (2 * eps) lam w1 decay positive_mu ltac:(lra)).
  pose proof (soft_threshold mu (2 * eps + (1 - b) * sigma / sqrt PI) lam w2 decay positive_mu ltac:(lra)).
  simpl in *. unfold best1, best2 in *. lra.
Qed.

Lemma alive : forall x, 0 < Rmax x 0 / lam <-> 0 < x.
Proof.
  intro x. assert (0 < / lam) by (apply Rinv_0_lt_compat; trivial). unfold Rdiv, Rmax. destruct Rle_dec; split; nra.
Qed.

Theorem w1_lives_until_half_the_mean : 0 < best1 <-> eps < mu / 2.
Proof. unfold best1. rewrite alive. split; lra. Qed.

Theorem w2_lives_until_the_threshold : 0 < best2 <-> eps < threshold b.
Proof.
  unfold best2, threshold. rewrite alive.
  replace ((1 - b) * sigma / (2 * sqrt PI)) with ((1 - b) * sigma / sqrt PI / 2) by (field; apply Rgt_not_eq, root_pi).
  split; lra.
Qed.

(* w2 dies before w1; smoothing raises the threshold, *)
Theorem w2_dies_first : threshold b < mu / 2.
Proof.
  unfold threshold. assert (0 < (1 - b) * sigma / (2 * sqrt PI)); [| lra].
  pose proof root_pi. apply Rmult_lt_0_compat; [nra | apply Rinv_0_lt_compat; lra].
Qed.

Theorem smoothing_raises_the_threshold : 0 < b -> threshold 0 < threshold b.
Proof.
  intro Hb. unfold threshold. pose proof root_pi.
  assert (0 < / (2 * sqrt PI)) by (apply Rinv_0_lt_compat; lra). unfold Rdiv.
  assert (0 < b * sigma * / (2 * sqrt PI)) by (apply Rmult_lt_0_compat; nra). nra.
Qed.

(* and w2 itself below its own. *)
Theorem smoothing_raises_w2 : 0 < b -> eps < threshold b ->
  Rmax (mu - (2 * eps + (1 - 0) * sigma / sqrt PI)) 0 / lam < best2.
Proof.
  intros Hb He. apply w2_lives_until_the_threshold in He. unfold best2 in *. apply (proj1 (alive _)) in He.
  assert (0 < / lam) by (apply Rinv_0_lt_compat; trivial). pose proof root_pi.
  assert (0 < / sqrt PI) by (apply Rinv_0_lt_compat; trivial).
  assert (0 < b * sigma * / sqrt PI) by (apply Rmult_lt_0_compat; nra).
  unfold Rdiv in *. apply Rmult_lt_compat_r; trivial.
  apply Rlt_le_trans with (mu - (2 * eps + (1 - b) * sigma * / sqrt PI)); [| apply Rmax_l].
  replace ((1 - b) * sigma * / sqrt PI) with (sigma * / sqrt PI - b * sigma * / sqrt PI) in * by ring.
  replace ((1 - 0) * sigma * / sqrt PI) with (sigma * / sqrt PI) by ring.
  apply Rmax_lub_lt; lra.
Qed.

End Model.

Print Assumptions minimiser.
