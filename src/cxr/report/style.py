"""How the report looks: one style sheet, light and dark, from phones to wide screens; figures stay on white."""

CSS = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d5dae0; --back: #fff; --tint: #f3f5f8;
  --link: #0b5cad; --note: #8a5a00; --note-back: #fff4d6; --bar: #7aa7d6; --true: #2e7d32; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6ea; --soft: #9aa5b1; --line: #3a424b; --back: #15181c;
  --tint: #1f242a; --link: #82b6f0; --note: #ffd27a; --note-back: #3a2f12; --bar: #3f6d9e; --true: #81c784; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 1000px; padding: 1.5rem 1rem 4rem; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .4rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
p, ul { margin: .5rem 0; overflow-wrap: anywhere; }
a { color: var(--link); }
.banner { background: var(--note-back); color: var(--note); padding: .7rem 1rem; border-radius: 6px; font-weight: 600; }
.lead { font-size: 1.25rem; margin: 1rem 0 .2rem; }
.look { color: var(--soft); font-style: italic; }
.absent { background: var(--tint); color: var(--soft); padding: .5rem .8rem; border-radius: 6px; }
nav ol { columns: 3 12rem; margin: 1rem 0 0; padding: .8rem .8rem .8rem 2.2rem; background: var(--tint);
  border-radius: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; min-width: 7rem; }
details td:last-child:not(.n) { min-width: 13rem; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; }
figure img { display: block; background: #fff; border-radius: 4px; max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .85rem; margin-top: .3rem; overflow-wrap: anywhere; }
.cards { display: grid; gap: 1.1rem 1rem; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); }
.cards.twofold { grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); }
.cards figure, .row figure { margin: 0; }
.cards img, .row img { width: 100%; background: #000; }
.row { display: grid; gap: .6rem; grid-auto-flow: column; grid-auto-columns: minmax(170px, 310px); overflow-x: auto;
  margin-bottom: 1.2rem; }
summary { cursor: pointer; color: var(--link); margin: .5rem 0; }
.pair { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.opinions { font-size: .85rem; min-width: 190px; }
.classes { display: grid; grid-template-columns: max-content 1fr max-content; gap: 0 .5rem; margin-top: .2rem;
  align-items: center; font-variant-numeric: tabular-nums; }
.classes i { display: block; height: .55rem; background: var(--bar); border-radius: 2px; }
.classes .true { color: var(--true); font-weight: 700; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); }
@media (max-width: 640px) {
  body { padding: 1rem .7rem 3rem; }
  img.wide { max-width: none; }
  .cards:not(.twofold) { grid-template-columns: repeat(2, 1fr); }
}
@media print { nav { display: none; } section { break-inside: avoid; } }
"""
