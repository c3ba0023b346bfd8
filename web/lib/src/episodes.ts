// Stretches of time with one leading emotion: find_episodes of video/timeline.py.
import { normalize, toEmotion, type Affect } from "./emotion";
import type { Emotion, Span } from "./results";
import { argmax } from "./windows";

const MARGIN = 0.1; // by how much another emotion must lead before it takes over
const SHORTEST_S = 0.4; // shorter episodes are given to a neighbor
const EPSILON_S = 1e-6;

/** What a person shows: an emotion from each start to its end, in order. */
export interface Course {
  starts: number[];
  ends: number[];
  emotions: Emotion[];
}
/** From the first up to before the end of the frames of a course. */
export interface Run { first: number; end: number; leader: number }

export function findEpisodes(course: Course, affect: Affect): Span[] {
  const labels = Object.keys(course.emotions[0]?.probabilities ?? {});
  return findRuns(course).map((run) => ({
    start_s: course.starts[run.first]!,
    end_s: course.ends[run.end - 1]!,
    emotion: toEmotion(labels, meanOf(course, run), affect),
  }));
}

/** The frames of each episode; no two that touch have the same leader. */
export function findRuns(course: Course): Run[] {
  const { starts, ends, emotions } = course;
  const runs: Run[] = [];
  for (let start = 0; start < starts.length;) {
    let end = start + 1;
    while (end < starts.length && starts[end]! - ends[end - 1]! <= EPSILON_S) end += 1;
    const shares = emotions.slice(start, end).map((emotion) => Object.values(emotion.probabilities));
    const lengths = shares.map((_, i) => ends[start + i]! - starts[start + i]!);
    for (const { first, end: last } of mergeShort(followLeader(shares), lengths)) {
      // By hysteresis, neighbors may have the same leader in the mean.
      const run = { first: start + first, end: start + last, leader: 0 };
      run.leader = argmax(meanOf(course, run));
      const before = runs.at(-1);
      if (before?.leader === run.leader && starts[run.first]! - ends[before.end - 1]! <= EPSILON_S) {
        before.end = run.end;
        before.leader = argmax(meanOf(course, before));
      } else runs.push(run);
    }
    start = end;
  }
  return runs;
}

// The distributions of a run, averaged by time.
function meanOf({ starts, ends, emotions }: Course, { first, end }: Run): number[] {
  const rows = emotions.slice(first, end).map((emotion) => Object.values(emotion.probabilities));
  const lengths = rows.map((_, i) => ends[first + i]! - starts[first + i]!);
  return normalize(rows[0]!.map((_, k) => rows.reduce((sum, row, i) => sum + lengths[i]! * row[k]!, 0)));
}

function followLeader(shares: number[][]): Run[] {
  let leader = argmax(shares[0]!);
  const runs: Run[] = [{ first: 0, end: 1, leader }];
  shares.slice(1).forEach((row, i) => {
    const top = argmax(row);
    if (row[top]! - row[leader]! > MARGIN) {
      leader = top;
      runs.push({ first: i + 1, end: i + 2, leader });
    } else runs.at(-1)!.end = i + 2;
  });
  return runs;
}

// Give runs that are too short to their neighbors, the shortest first.
function mergeShort(runs: Run[], lengths: number[]): Run[] {
  const length = (run: Run): number => lengths.slice(run.first, run.end).reduce((sum, value) => sum + value, 0);
  while (runs.length > 1) {
    const sizes = runs.map(length);
    const at = sizes.indexOf(Math.min(...sizes));
    if (sizes[at]! >= SHORTEST_S - EPSILON_S) break;
    const host = at ? at - 1 : 1;
    const [low, high] = [Math.min(at, host), Math.max(at, host)];
    const joined = { first: runs[low]!.first, end: runs[high]!.end, leader: runs[host]!.leader };
    runs = [...runs.slice(0, low), joined, ...runs.slice(high + 1)].reduce<Run[]>((merged, run) => {
      const last = merged.at(-1);
      if (last?.leader === run.leader) last.end = run.end;
      else merged.push({ ...run });
      return merged;
    }, []);
  }
  return runs;
}
