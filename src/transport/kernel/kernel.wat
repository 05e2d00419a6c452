;; The content encoder of src/smtp/client/content.ts sixteen octets at a time: line ends become CRLF, a dot at the start of a
;; line is doubled, the facts are counted in the same pass. And the sums of src/message/octet-sums.ts. Knows no chunk but the
;; one it is given; the counts of the chunks are added up by kernel.ts. Assembled into kernel.wasm.ts by `npx tsx bench/support/assemble.ts`.
(module
  (import "" "memory" (memory 1))
  ;; Encodes `length` octets (at least one) at `in` to `out`; returns how many octets were written.
  ;; `dot` is the octet to double at the start of a line, or 256 for none. `state`: bit 0, at the start of a line;
  ;; bit 1, the octet before was a CR. At most 2 * length octets are written, and up to 15 more are touched;
  ;; the 16 octets after the input are read and restored.
  ;; Results at address 0, each an i32: state, lines ended, dots doubled, length of the first line, of the longest
  ;; line, of the unfinished line, eight-bit octets seen (not 0), NUL seen (not 0). Lengths count from the start of
  ;; the chunk at the earliest.
  (func (export "encode") (param $in i32) (param $length i32) (param $out i32) (param $dot i32) (param $state i32) (result i32)
    (local $end i32) (local $start i32) (local $written i32) (local $lines i32) (local $dots i32)
    (local $line i32) (local $first i32) (local $longest i32) (local $stops i32) (local $octet i32)
    (local $v v128) (local $any v128) (local $least v128) (local $beyond v128)
    (local.set $written (local.get $out))
    (local.set $end (i32.add (local.get $in) (local.get $length)))
    ;; Letters stand behind the input while it is read: they end no line, are no dot, and change no fact, so that
    ;; neither a vector nor a look at the next octet needs to know where the input ends.
    (local.set $beyond (v128.load (local.get $end)))
    (v128.store (local.get $end) (v128.const i8x16 97 97 97 97 97 97 97 97 97 97 97 97 97 97 97 97))
    (local.set $least (v128.const i8x16 97 97 97 97 97 97 97 97 97 97 97 97 97 97 97 97))
    ;; An LF after the CR that ended the chunk before: its line end is already written.
    (if (i32.and (i32.eq (local.get $state) (i32.const 3)) (i32.eq (i32.load8_u (local.get $in)) (i32.const 10)))
      (then (local.set $in (i32.add (local.get $in) (i32.const 1)))))
    (local.set $start (local.get $in))
    (if (i32.and (local.get $state) (i32.eq (i32.load8_u (local.get $in)) (local.get $dot)))
      (then
        (i32.store8 (local.get $out) (local.get $dot))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (local.set $dots (i32.const 1))))
    (block $done
      (loop $next
        ;; Sixteen octets are copied before it is known how many of them belong to this line; what is too much is
        ;; written over next.
        (v128.store (local.get $out) (local.tee $v (v128.load (local.get $in))))
        (local.set $any (v128.or (local.get $any) (local.get $v)))
        (local.set $least (i8x16.min_u (local.get $least) (local.get $v)))
        (local.set $stops (i8x16.bitmask (v128.or
          (i8x16.eq (local.get $v) (v128.const i8x16 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10))
          (i8x16.eq (local.get $v) (v128.const i8x16 13 13 13 13 13 13 13 13 13 13 13 13 13 13 13 13)))))
        (if (i32.eqz (local.get $stops))
          (then
            (local.set $in (i32.add (local.get $in) (i32.const 16)))
            (local.set $out (i32.add (local.get $out) (i32.const 16)))
            (br_if $next (i32.lt_u (local.get $in) (local.get $end)))
            (local.set $out (i32.sub (local.get $out) (i32.sub (local.get $in) (local.get $end))))
            (br $done)))
        (local.set $stops (i32.ctz (local.get $stops)))
        (local.set $in (i32.add (local.get $in) (local.get $stops)))
        (local.set $out (i32.add (local.get $out) (local.get $stops)))
        (local.set $line (i32.sub (local.get $in) (local.get $start)))
        (local.set $first (select (local.get $first) (local.get $line) (local.get $lines)))
        (local.set $longest (select (local.get $line) (local.get $longest) (i32.gt_u (local.get $line) (local.get $longest))))
        (local.set $lines (i32.add (local.get $lines) (i32.const 1)))
        (i32.store16 (local.get $out) (i32.const 0x0a0d))
        (local.set $out (i32.add (local.get $out) (i32.const 2)))
        ;; A CR takes the LF behind it along.
        (local.set $octet (i32.load8_u (local.get $in)))
        (local.set $in (i32.add (local.get $in) (i32.const 1)))
        (if (i32.eq (local.get $octet) (i32.const 13))
          (then (if (i32.eq (i32.load8_u (local.get $in)) (i32.const 10))
            (then (local.set $in (i32.add (local.get $in) (i32.const 1)))))))
        (local.set $start (local.get $in))
        (if (i32.eq (i32.load8_u (local.get $in)) (local.get $dot))
          (then
            (i32.store8 (local.get $out) (local.get $dot))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))
            (local.set $dots (i32.add (local.get $dots) (i32.const 1)))))
        (br_if $next (i32.lt_u (local.get $in) (local.get $end)))))
    ;; Nothing is left of a line exactly when the last octet ended one.
    (local.set $line (i32.sub (local.get $end) (local.get $start)))
    (i32.store (i32.const 0) (i32.add (i32.eqz (local.get $line))
        (i32.shl (i32.eq (i32.load8_u (i32.sub (local.get $end) (i32.const 1))) (i32.const 13)) (i32.const 1))))
    (i32.store (i32.const 4) (local.get $lines))
    (i32.store (i32.const 8) (local.get $dots))
    (i32.store (i32.const 12) (local.get $first))
    (i32.store (i32.const 16) (local.get $longest))
    (i32.store (i32.const 20) (local.get $line))
    (i32.store (i32.const 24) (i8x16.bitmask (local.get $any)))
    (i32.store (i32.const 28) (i32.eqz (i8x16.all_true (local.get $least))))
    (v128.store (local.get $end) (local.get $beyond))
    (i32.sub (local.get $out) (local.get $written)))

  ;; The sums of `length` octets at `in` that follow octets whose sums are `s1` and `s2`: the results, at addresses 32 and 36.
  ;; s1 adds up the octets, s2 adds up s1 after each octet; so sixteen of them add to s2 sixteen times the s1 before
  ;; them, and each of them as often as octets follow it, itself included.
  (func (export "sum") (param $in i32) (param $length i32) (param $s1 i32) (param $s2 i32)
    (local $end i32) (local $v v128) (local $octets v128) (local $before v128) (local $weighted v128)
    (local.set $end (i32.add (local.get $in) (local.get $length)))
    (if (i32.ge_u (local.get $length) (i32.const 16))
      (then
        (local.set $s2 (i32.add (local.get $s2) (i32.mul (local.get $s1) (i32.and (local.get $length) (i32.const -16)))))
        (loop $next
          (local.set $v (v128.load (local.get $in)))
          (local.set $before (i32x4.add (local.get $before) (local.get $octets)))
          (local.set $octets (i32x4.add (local.get $octets)
            (i32x4.extadd_pairwise_i16x8_u (i16x8.extadd_pairwise_i8x16_u (local.get $v)))))
          (local.set $weighted (i32x4.add (local.get $weighted)
            (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_u (local.get $v)) (v128.const i16x8 16 15 14 13 12 11 10 9))))
          (local.set $weighted (i32x4.add (local.get $weighted)
            (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_u (local.get $v)) (v128.const i16x8 8 7 6 5 4 3 2 1))))
          (local.set $in (i32.add (local.get $in) (i32.const 16)))
          (br_if $next (i32.ge_u (i32.sub (local.get $end) (local.get $in)) (i32.const 16))))
        (local.set $s1 (i32.add (local.get $s1) (call $total (local.get $octets))))
        (local.set $s2 (i32.add (local.get $s2)
          (i32.add (i32.shl (call $total (local.get $before)) (i32.const 4)) (call $total (local.get $weighted)))))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $in) (local.get $end)))
        (local.set $s1 (i32.add (local.get $s1) (i32.load8_u (local.get $in))))
        (local.set $s2 (i32.add (local.get $s2) (local.get $s1)))
        (local.set $in (i32.add (local.get $in) (i32.const 1)))
        (br $next)))
    (i32.store (i32.const 32) (local.get $s1))
    (i32.store (i32.const 36) (local.get $s2)))
  (func $total (param $v v128) (result i32)
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $v)) (i32x4.extract_lane 1 (local.get $v)))
      (i32.add (i32x4.extract_lane 2 (local.get $v)) (i32x4.extract_lane 3 (local.get $v)))))
)
