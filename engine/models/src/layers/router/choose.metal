// The body of a kernel that chooses experts: one simdgroup for each token; its lane l has the experts l, l + 32, ...
//
// said [tokens, EXPERTS] of T, correction [EXPERTS] and scale [1] of float -> chosen [tokens, EACH] of uint, weights the
// same of W. What it computes is said in words, and in MLX's operations, in `routing.rs`.

constexpr int OWN = (EXPERTS + 31) / 32;
constexpr int SIZE = EXPERTS / GROUPS;
const uint row = thread_position_in_grid.y;
const int lane = int(thread_index_in_simdgroup);

float score[OWN];
float rank[OWN];
float highest = -INFINITY;
for (int i = 0; i < OWN; i++) {
  const int expert = lane + 32 * i;
  score[i] = expert < EXPERTS ? float(said[row * EXPERTS + expert]) : -INFINITY;
  highest = max(highest, score[i]);
}
highest = simd_max(highest);
float all = 0;
for (int i = 0; i < OWN; i++) {
  score[i] = SOFTMAX ? exp(score[i] - highest) : 1 / (1 + exp(-score[i]));
  all += score[i];
}
all = simd_sum(all);
for (int i = 0; i < OWN; i++) {
  const int expert = lane + 32 * i;
  score[i] = SOFTMAX ? score[i] / all : score[i];
  rank[i] = expert < EXPERTS ? score[i] + correction[expert] : -INFINITY;
}

if (BEST < GROUPS) {
  // Of each group the two that rank highest: the second may be in the lane that has the first.
  float together[GROUPS];
  for (int group = 0; group < GROUPS; group++) {
    float first = -INFINITY;
    float second = -INFINITY;
    for (int i = 0; i < OWN; i++) {
      const int expert = lane + 32 * i;
      if (expert < EXPERTS && expert / SIZE == group) {
        second = max(second, min(first, rank[i]));
        first = max(first, rank[i]);
      }
    }
    const float best = simd_max(first);
    const int owner = simd_min(first == best ? lane : 32);
    const float other = simd_max(lane == owner ? second : first);
    together[group] = SIZE > 1 ? best + other : best;
  }
  uint kept = 0;
  for (int i = 0; i < BEST; i++) {
    int best = -1;
    for (int group = 0; group < GROUPS; group++) {
      const bool is_open = (kept >> group & 1) == 0;
      best = is_open && (best < 0 || together[group] > together[best]) ? group : best;
    }
    kept |= 1u << best;
  }
  for (int i = 0; i < OWN; i++) {
    const int expert = lane + 32 * i;
    const bool is_kept = expert >= EXPERTS || (kept >> (expert / SIZE) & 1) != 0;
    rank[i] = is_kept ? rank[i] : 0;
  }
}

float weight[EACH];
float sum = 0;
for (int choice = 0; choice < EACH; choice++) {
  float best = -INFINITY;
  int expert = EXPERTS;
  float worth = 0;
  for (int i = 0; i < OWN; i++) {
    if (rank[i] > best) {
      best = rank[i];
      expert = lane + 32 * i;
      worth = score[i];
    }
  }
  const float winner = simd_max(best);
  const int won = simd_min(best == winner ? expert : EXPERTS);
  weight[choice] = simd_sum(expert == won ? worth : 0.0f);
  sum += weight[choice];
  for (int i = 0; i < OWN; i++) {
    rank[i] = lane + 32 * i == won ? -INFINITY : rank[i];
  }
  if (lane == 0) {
    // Where no number is the highest none is chosen, and any expert will do.
    chosen[row * EACH + choice] = uint(min(won, EXPERTS - 1));
  }
}
if (lane == 0) {
  const float factor = NORMALIZE ? scale[0] / (sum + 1e-20f) : scale[0];
  for (int choice = 0; choice < EACH; choice++) {
    weights[row * EACH + choice] = W(weight[choice] * factor);
  }
}
