(* T2-joint' (THEORY.md) for Coq: joint robust accuracy is unimodal in the ratio r = w2/w1, its maximiser lies below 1,
   and is 0 iff eps >= eps0. `coqc joint_accuracy.v` checks this file, which uses the standard library alone.

   What is assumed stands in the Section below: the slope of joint accuracy (T2-joint), and of the inverse Mills ratio
   imr that it is positive, falls no faster than its argument rises, and is sqrt(2/pi) at 0. *)

Require Import Reals Lra Psatz.
Open Scope R_scope.

Definition D (r : R) := (1 + r * r) * (2 + r * r).
Definition g (r : R) := (2 + r * r) / sqrt (D r).             (* sqrt((2+r^2)/(1+r^2)) *)
Definition v (r : R) := r * (1 + r) / sqrt (D r).             (* u/k *)

Lemma D_positive : forall r, 0 < D r.
Proof. intro r. unfold D. nra. Qed.

Lemma root_positive : forall r, 0 < sqrt (D r).
Proof. intro r. apply sqrt_lt_R0, D_positive. Qed.

(* Fractions with such roots are compared by their squares. *)
Lemma compare : forall a b r s, 0 <= a -> 0 <= b -> b * b * D r < a * a * D s -> b / sqrt (D s) < a / sqrt (D r).
Proof.
  intros a b r s Ha Hb H. pose proof (root_positive r). pose proof (root_positive s).
  assert (sqrt (D r) * sqrt (D r) = D r) by (apply sqrt_sqrt; left; apply D_positive).
  assert (sqrt (D s) * sqrt (D s) = D s) by (apply sqrt_sqrt; left; apply D_positive).
  assert (b * sqrt (D r) < a * sqrt (D s)).
  { apply Rsqr_incrst_0; unfold Rsqr; [nra | |]; apply Rmult_le_pos; lra. }
  apply Rmult_lt_reg_r with (sqrt (D r) * sqrt (D s)). { apply Rmult_lt_0_compat; lra. }
  field_simplify; lra.
Qed.

Definition falling (r : R) := (1 - r) * (2 + r * r).          (* (1 - r) g = falling/sqrt D *)
Definition total (r : R) := falling r + r * (1 + r).          (* (1 - r) g + v = total/sqrt D *)

Lemma squares : forall x y p q, x - y = p * q -> 0 < p -> 0 < q -> y < x.
Proof. intros x y p q E Hp Hq. assert (0 < p * q) by (apply Rmult_lt_0_compat; trivial). lra. Qed.

Lemma falling_squares : forall r s, 0 <= r -> r < s -> s <= 1 ->
  falling s * falling s * D r < falling r * falling r * D s.
Proof.
  intros r s H0 H1 H2. apply squares with ((s - r) * ((r * r + 2) * (s * s + 2)))
    (4 - r - s + 2 * (r * r) + 2 * (s * s) - 2 * (r * s) - r * r * r - s * s * s - r * s * (r + s)
     + r * r * (s * s) * (2 - r - s)).
  - unfold falling, D. ring.
  - apply Rmult_lt_0_compat; nra.
  - assert (r * r * r <= r * r) by nra. assert (s * s * s <= s * s) by nra.
    assert (0 <= r * s < 1) by nra. assert (r * s * (r + s) <= 2 * (r * s)) by nra.
    assert (0 <= r * r * (s * s) * (2 - r - s)) by (apply Rmult_le_pos; nra).
    assert (0 <= r * r + s * s - 2 * (r * s)) by nra. lra.
Qed.

Lemma total_squares : forall r s, 0 <= r -> r < s -> s <= 1 -> total s * total s * D r < total r * total r * D s.
Proof.
  intros r s H0 H1 H2. apply squares with ((s - r) * ((r * r + 1) * (s * s + 1)))
    (8 - 6 * r - 6 * s + 8 * (r * r) + 8 * (s * s) + 4 * (r * s) - 2 * (r * r * r) - 2 * (s * s * s)
     - 2 * (r * s * (r + s)) + r * r * (s * s) * (4 - r - s)).
  - unfold total, falling, D. ring.
  - apply Rmult_lt_0_compat; nra.
  - assert (r * r * r <= r * r) by nra. assert (s * s * s <= s * s) by nra.
    assert (0 <= r * s) by nra. assert (r * s * (r + s) <= 2 * (r * s)) by nra.
    assert (0 <= r * r * (s * s) * (4 - r - s)) by (apply Rmult_le_pos; nra).
    pose proof (Rle_0_sqr (r - 1 / 2)). pose proof (Rle_0_sqr (s - 1 / 2)). unfold Rsqr in *. lra.
Qed.

Lemma part_falls : forall r s, 0 <= r -> r < s -> s <= 1 -> (1 - s) * g s < (1 - r) * g r.
Proof.
  intros r s H0 H1 H2. unfold g.
  replace ((1 - s) * ((2 + s * s) / sqrt (D s))) with (falling s / sqrt (D s)) by (unfold falling, Rdiv; ring).
  replace ((1 - r) * ((2 + r * r) / sqrt (D r))) with (falling r / sqrt (D r)) by (unfold falling, Rdiv; ring).
  apply compare; [unfold falling; nra | unfold falling; nra |]. apply falling_squares; trivial.
Qed.

Lemma sum_falls : forall r s, 0 <= r -> r < s -> s <= 1 -> (1 - s) * g s + v s < (1 - r) * g r + v r.
Proof.
  intros r s H0 H1 H2. unfold g, v.
  replace ((1 - s) * ((2 + s * s) / sqrt (D s)) + s * (1 + s) / sqrt (D s)) with (total s / sqrt (D s))
    by (unfold total, falling, Rdiv; ring).
  replace ((1 - r) * ((2 + r * r) / sqrt (D r)) + r * (1 + r) / sqrt (D r)) with (total r / sqrt (D r))
    by (unfold total, falling, Rdiv; ring).
  apply compare; [unfold total, falling; nra | unfold total, falling; nra |]. apply total_squares; trivial.
Qed.

Lemma v_nonnegative : forall r, 0 <= r -> 0 <= v r.
Proof.
  intros r H. unfold v. pose proof (root_positive r).
  apply Rmult_le_pos; [nra | left; apply Rinv_0_lt_compat; trivial].
Qed.

Section Accuracy.

(* The inverse Mills ratio phi/Phi on u >= 0. *)
Variable imr : R -> R.
Hypothesis imr_positive : forall u, 0 <= u -> 0 < imr u.
Hypothesis imr_falls : forall a c, 0 <= a -> a <= c -> imr c <= imr a.
Hypothesis imr_falls_slowly : forall a c, 0 <= a -> a <= c -> imr a - imr c <= c - a.
Hypothesis imr_at_0 : imr 0 = sqrt 2 / sqrt PI.

Variable k : R.
Hypothesis robust : 0 < k.

Definition F (r : R) := k * (1 - r) * g r - imr (k * v r).

(* Joint accuracy, of which dP/dr = c F with c > 0 is what is used (T2-joint). *)
Variables P c : R -> R.
Hypothesis slope : forall r, 0 <= r -> derivable_pt_lim P r (c r * F r).
Hypothesis c_positive : forall r, 0 <= r -> 0 < c r.

Lemma F_falls : forall r s, 0 <= r -> r < s -> s <= 1 -> F s < F r.
Proof.
  intros r s H0 H1 H2. unfold F. pose proof (part_falls r s H0 H1 H2). pose proof (sum_falls r s H0 H1 H2).
  pose proof (v_nonnegative r H0). assert (0 <= v s) by (apply v_nonnegative; lra).
  destruct (Rle_lt_dec (v r) (v s)).
  - assert (imr (k * v r) - imr (k * v s) <= k * v s - k * v r) by (apply imr_falls_slowly; nra). nra.
  - assert (imr (k * v r) <= imr (k * v s)) by (apply imr_falls; nra). nra.
Qed.

Lemma F_negative_from_1 : forall r, 1 <= r -> F r < 0.
Proof.
  intros r H. unfold F. assert (0 < imr (k * v r)).
  { apply imr_positive. apply Rmult_le_pos; [lra | apply v_nonnegative; lra]. }
  assert (0 < g r). { unfold g. apply Rmult_lt_0_compat; [nra | apply Rinv_0_lt_compat, root_positive]. }
  assert (0 <= k * (r - 1) * g r) by (apply Rmult_le_pos; [apply Rmult_le_pos; lra | lra]). nra.
Qed.

(* Where F is not positive, it is negative ever after. *)
Lemma one_crossing : forall r s, 0 <= r -> r < s -> F r <= 0 -> F s < 0.
Proof.
  intros r s H0 H1 H. destruct (Rle_lt_dec 1 s). { apply F_negative_from_1; trivial. }
  apply Rlt_le_trans with (F r); trivial. apply F_falls; lra.
Qed.

Lemma F_at_0 : F 0 = sqrt 2 * (k - 1 / sqrt PI).
Proof.
  unfold F, g, v, D. replace ((1 + 0 * 0) * (2 + 0 * 0)) with 2 by ring.
  replace (k * (0 * (1 + 0) / sqrt 2)) with 0 by (unfold Rdiv; ring). rewrite imr_at_0.
  assert (0 < sqrt 2) by (apply sqrt_lt_R0; lra). assert (sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra).
  assert (0 < sqrt PI) by (apply sqrt_lt_R0, PI_RGT_0).
  replace ((2 + 0 * 0) / sqrt 2) with (sqrt 2) by (replace (2 + 0 * 0) with (sqrt 2 * sqrt 2) by lra; field; lra).
  field. lra.
Qed.

(* A point where accuracy has the slope of its change between r and s. *)
Lemma between : forall r s, 0 <= r -> r < s -> exists x, r < x < s /\ P s - P r = c x * F x * (s - r).
Proof.
  intros r s H0 H1. destruct (MVT_cor2 P (fun x => c x * F x) r s H1) as [x [E Hx]].
  - intros x [Hx _]. apply slope; lra.
  - exists x. split; trivial.
Qed.

Lemma falls_after : forall r s t, 0 <= r -> F r <= 0 -> r <= s -> s < t -> P t < P s.
Proof.
  intros r s t H0 HF H1 H2. destruct (between s t) as [x [Hx E]]; try lra.
  assert (F x < 0) by (apply (one_crossing r); lra). assert (0 < c x) by (apply c_positive; lra).
  assert (0 < c x * - F x * (t - s)) by (repeat apply Rmult_lt_0_compat; lra). nra.
Qed.

(* Strict unimodality: between two ratios accuracy is above the lower end. *)
Theorem unimodal : forall r s t, 0 <= r -> r < s -> s < t -> Rmin (P r) (P t) < P s.
Proof.
  intros r s t H0 H1 H2. destruct (between r s) as [x [Hx E]]; trivial. assert (0 < c x) by (apply c_positive; lra).
  destruct (Rle_lt_dec (F x) 0).
  - apply Rle_lt_trans with (P t); [apply Rmin_r | apply (falls_after x); lra].
  - apply Rle_lt_trans with (P r); [apply Rmin_l |].
    assert (0 < c x * F x * (s - r)) by (repeat apply Rmult_lt_0_compat; lra). lra.
Qed.

(* Its maximiser lies below 1, *)
Theorem falls_from_1 : forall s t, 1 <= s -> s < t -> P t < P s.
Proof. intros s t H1 H2. apply (falls_after 1); try lra. left. apply F_negative_from_1; lra. Qed.

Theorem one_is_not_best : exists r, 0 <= r < 1 /\ P 1 < P r.
Proof.
  assert (H : F 1 < 0) by (apply F_negative_from_1; lra). pose proof (c_positive 1 ltac:(lra)).
  assert (Hs : c 1 * F 1 < 0) by nra.
  destruct (slope 1 ltac:(lra) (- (c 1 * F 1)) ltac:(lra)) as [d Hd]. pose proof (cond_pos d).
  set (h := - Rmin (d / 2) (1 / 2)).
  assert (Hh : - (1 / 2) <= h < 0 /\ Rabs h < d).
  { unfold h, Rmin, Rabs. destruct Rle_dec; destruct Rcase_abs; lra. }
  destruct Hh as [Hh Hb]. specialize (Hd h ltac:(lra) Hb). apply Rabs_def2 in Hd.
  exists (1 + h). split; [lra |].
  assert ((P (1 + h) - P 1) / h < 0) by lra.
  assert (P (1 + h) - P 1 = (P (1 + h) - P 1) / h * h) by (field; lra). nra.
Qed.

(* and is 0 iff k <= 1/sqrt(pi), that is eps >= eps0. *)
Theorem no_use_from_the_threshold : k <= 1 / sqrt PI -> forall s t, 0 <= s -> s < t -> P t < P s.
Proof.
  intros H s t H1 H2. apply (falls_after 0); try lra. rewrite F_at_0. pose proof (sqrt_pos 2). nra.
Qed.

Theorem some_use_below_the_threshold : 1 / sqrt PI < k -> exists r, 0 < r /\ P 0 < P r.
Proof.
  intro H. assert (HF : 0 < F 0). { rewrite F_at_0. apply Rmult_lt_0_compat; [apply sqrt_lt_R0 |]; lra. }
  pose proof (c_positive 0 ltac:(lra)). assert (Hs : 0 < c 0 * F 0) by nra.
  destruct (slope 0 ltac:(lra) (c 0 * F 0) Hs) as [d Hd]. pose proof (cond_pos d).
  assert (Hb : Rabs (d / 2) < d) by (rewrite Rabs_pos_eq; lra).
  specialize (Hd (d / 2) ltac:(lra) Hb). apply Rabs_def2 in Hd. rewrite Rplus_0_l in Hd.
  exists (d / 2). split; [lra |].
  assert (P (d / 2) - P 0 = (P (d / 2) - P 0) / (d / 2) * (d / 2)) by (field; lra). nra.
Qed.

End Accuracy.

Print Assumptions unimodal.
