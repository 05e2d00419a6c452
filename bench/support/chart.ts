/** Draws a table as an SVG of horizontal bars, readable on light and dark pages. Knows no bench. */
import type { Spread } from './rounds.ts';
import type { Table } from './table.ts';

const WIDTH = 420;
/** Room for the value behind a bar, in px. */
const VALUE = 64;
/** Height of a bar alone in its row, and of one among several, in px. */
const [ALONE, BESIDE] = [16, 9];
const GAP = 8;
/** A bar is an outlier when it is this many times as long as the next shorter one, and four of five bars are shorter. */
const APART = 3;
/** Opacity of the measures of a row, in their order. */
const SHADES = [1, 0.62, 0.36, 0.2];

/** The end of the axis: the longest bar, or the longest one that is no outlier. */
export function axisEnd(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  for (let i = Math.ceil(sorted.length * 0.8); i < sorted.length; i++) {
    const [shorter, longer] = [sorted[i - 1] as number, sorted[i] as number];
    if (i > 0 && longer > APART * shorter) return shorter * 1.1;
  }
  return Math.max(...sorted, 1e-9);
}

/** The width of a bold text of 12 px in a common sans serif. The guess is generous, so that no label is cut. */
const widthOf = (text: string): number => text.length * 7.2;

export function drawChart(table: Table): string {
  const found = table.chart.flatMap((key) =>
    table.columns.filter((each) => each.key === key || each.keys?.includes(key)).map((each) => ({ ...each, key })),
  );
  const rows = table.rows.filter(({ measures }) => found.some(({ key }) => measures[key]));
  const told = (names: readonly string[]): boolean => names.some((name) => kindOf(name) !== 'peer');
  // The colour shows whose program a bar belongs to, by its row, else by its column; else all bars are ours.
  const byRow = told(rows.map(({ name }) => name));
  const byColumn = !byRow && told(found.map(({ title }) => title));
  const columns = found.map((each) => ({ ...each, kind: byColumn ? kindOf(each.title) : 'own' }));
  const shade = (series: number): number =>
    SHADES[byColumn ? columns.slice(0, series).filter(({ kind }) => kind === columns[series]?.kind).length : series] ?? 0.15;
  const thickness = columns.length > 1 ? BESIDE : ALONE;
  const rowHeight = columns.length * (thickness + 1) + GAP;
  const left = Math.ceil(Math.max(60, ...rows.map(({ name }) => widthOf(name)))) + 16;
  const end = axisEnd(rows.flatMap(({ measures }) => columns.flatMap(({ key }) => measures[key]?.median ?? [])));
  const legend = columns.length > 1 ? 20 : 0;
  const top = 34 + legend;
  const drawn = rows.map(({ name, measures }, i) => {
    const y = top + i * rowHeight;
    const bars = columns.flatMap(({ key, digits, kind: ofColumn }, series) => {
      const spread = measures[key];
      const kind = byRow ? kindOf(name) : ofColumn;
      return spread ? [bar(spread, { kind, shade: shade(series), left, y: y + series * (thickness + 1), thickness, end, digits })] : [];
    });
    const middle = y + (columns.length * (thickness + 1)) / 2 + 3.5;
    return [
      `<text x="${left - 8}" y="${middle}" text-anchor="end"${kindOf(name) === 'own' ? ' font-weight="600"' : ''}>${escaped(name)}</text>`,
      ...bars,
    ].join('\n');
  });
  const [first] = columns;
  const better = first?.more ? 'more is better' : 'less is better';
  const what = columns.length === 1 ? `${first?.title}, ${better}` : better;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + WIDTH + VALUE} ${top + rows.length * rowHeight + 4}" width="${left + WIDTH + VALUE}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12">
<title>${escaped(`${table.title}: ${what}`)}</title>
<style>text{fill:#333}.value{fill:#666;font-size:11px}.what{fill:#666}.title{font-weight:600}.own{fill:#2563eb}.peer{fill:#8b93a1}.floor{fill:#c9b37e}.spread{stroke:#111827;stroke-opacity:.55;fill:none}.cut{stroke:#fff;stroke-width:3;fill:none}
@media (prefers-color-scheme: dark){text{fill:#ddd}.value,.what{fill:#aaa}.own{fill:#5b8def}.peer{fill:#6b7280}.floor{fill:#8a7748}.spread{stroke:#f9fafb}.cut{stroke:#0d1117}}</style>
<text class="title" x="4" y="18">${escaped(table.title)}<tspan class="what" font-weight="400" dx="10">${escaped(what)}</tspan></text>
${
  columns.length > 1
    ? `${legendOf(
        columns.map(({ title, kind }, series) => ({ title, kind, shade: shade(series) })),
        left,
      )}\n`
    : ''
}${drawn.join('\n')}
</svg>
`;
}

interface Place {
  readonly kind: string;
  readonly shade: number;
  readonly left: number;
  readonly y: number;
  readonly thickness: number;
  readonly end: number;
  readonly digits: number;
}

/** One bar with its spread and its median. A bar beyond the end of the axis is cut, but its number stays. */
function bar({ median, min, max }: Spread, { kind, shade, left, y, thickness, end, digits }: Place): string {
  const x = (value: number): number => Math.round((Math.min(value, end) / end) * WIDTH * 10) / 10;
  const middle = y + thickness / 2;
  const beyond = median > end;
  const cut = left + WIDTH - 14;
  const parts = [
    `<rect class="${kind}" x="${left}" y="${y}" width="${Math.max(1, x(median))}" height="${thickness}" rx="2" fill-opacity="${shade}"/>`,
  ];
  if (beyond) parts.push(`<path class="cut" d="M${cut} ${y + thickness + 1}l6 -${thickness + 2}"/>`);
  else if (max > min) parts.push(`<path class="spread" d="M${left + x(min)} ${middle}H${left + x(max)}"/>`);
  const behind = left + (beyond ? WIDTH : Math.max(x(median), x(max))) + 6;
  parts.push(`<text class="value" x="${behind}" y="${middle + 4}"${beyond ? ' font-weight="600"' : ''}>${median.toFixed(digits)}</text>`);
  return parts.join('\n');
}

function legendOf(series: readonly { readonly title: string; readonly kind: string; readonly shade: number }[], left: number): string {
  let x = left;
  return series
    .map(({ title, kind, shade }) => {
      const at = x;
      x += widthOf(title) + 34;
      return `<rect class="${kind}" x="${at}" y="31" width="12" height="9" rx="2" fill-opacity="${shade}"/><text class="what" x="${at + 17}" y="40">${escaped(title)}</text>`;
    })
    .join('\n');
}

/** nospool, a floor or a bound, or another program. */
const kindOf = (name: string): string =>
  /^(nospool|sendmail)/.test(name) ? 'own' : /^(bare|minimum|memcpy)|(^| )-e 0$/.test(name) ? 'floor' : 'peer';

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
