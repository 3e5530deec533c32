/** The style sheet of all pages, inline: no second request, nothing from elsewhere. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#f6f7f8;--card:#fff;--ink:#16191d;--soft:#545c66;--line:#dde1e6;--code:#eef0f3;
--link:#0a58b0;--ok:#0d6e3f;--warn:#9a4d00;--bad:#b3151e;--odd:#7a2ea8;--quiet:#3f5266;--wait:#17608f;
--warn-bg:#fff6e9;--bad-bg:#fff0ef;--odd-bg:#f9f1fe;--quiet-bg:#eff3f7;--mark-in:#fff;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--bg:#101316;--card:#191d21;--ink:#e8eaed;--soft:#a0a9b4;--line:#2d333a;
--code:#23282e;--link:#7cb7ff;--ok:#53c98c;--warn:#ffb454;--bad:#ff827c;--odd:#d69bff;--quiet:#a9bacb;--wait:#76c1f0;
--warn-bg:#2a2114;--bad-bg:#2c191a;--odd-bg:#261b2f;--quiet-bg:#1c232a;--mark-in:#14171a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
a{color:var(--link);text-underline-offset:2px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:4px}
h1{font-size:1.55rem;line-height:1.2;margin:0;letter-spacing:-.01em;text-wrap:balance}
h2{font-size:1rem;margin:2rem 0 .6rem}
h2 .n{color:var(--soft);font-weight:400}
code,.mono{font-family:var(--mono);font-size:.88em;overflow-wrap:anywhere}
.top{border-bottom:1px solid var(--line);background:var(--card)}
.top>div,main,footer{max-width:76rem;margin:0 auto;padding:0 1.25rem}
.top>div{display:flex;align-items:center;justify-content:space-between;gap:1rem;min-height:3rem;flex-wrap:wrap}
.top a{color:inherit;text-decoration:none;font-weight:650}
.top .asof{color:var(--soft);font-size:.85rem;font-variant-numeric:tabular-nums}
main{padding-top:1.5rem;padding-bottom:2rem}
#stale{background:var(--bad-bg);color:var(--bad);border-bottom:1px solid var(--bad);padding:.6rem 1.25rem;font-weight:600;text-align:center}
.sub{color:var(--soft);margin:.3rem 0 0}
.mark{width:1em;height:1em;flex:none;fill:currentColor;vertical-align:-.12em}
.mark .in{stroke:var(--mark-in);stroke-linecap:round;stroke-linejoin:round}
.s-trusted{color:var(--ok)}.s-drifted{color:var(--warn)}.s-refused{color:var(--bad)}.s-forked{color:var(--odd)}
.s-silent{color:var(--quiet)}.s-measuring,.s-starting{color:var(--wait)}.s-gone{color:var(--soft)}
.badge{display:inline-flex;align-items:center;gap:.4em;font-weight:650;white-space:nowrap}
.strip{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.2rem,1fr));gap:.6rem;margin:1.2rem 0 0;padding:0;list-style:none}
.strip a{display:block;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.6rem .8rem;text-decoration:none;color:inherit;height:100%}
.strip a:hover{border-color:var(--soft)}
.strip a[aria-current]{box-shadow:inset 0 0 0 2px var(--link)}
.strip b{display:block;font-size:1.65rem;line-height:1.15;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.strip .zero b,.strip .zero .badge{color:var(--soft);font-weight:400}
.strip .hot{border-color:var(--edge)}
.strip .hot.s-drifted{background:var(--warn-bg)}.strip .hot.s-refused{background:var(--bad-bg)}
.strip .hot.s-forked{background:var(--odd-bg)}.strip .hot.s-silent{background:var(--quiet-bg)}
.find{display:flex;gap:.5rem;margin:1rem 0 0;flex-wrap:wrap}
.find input{flex:1 1 14rem;max-width:26rem;font:inherit;padding:.45rem .7rem;border:1px solid var(--line);border-radius:8px;background:var(--card);color:inherit;min-width:0}
.find button{font:inherit;padding:.45rem .9rem;border:1px solid var(--line);border-radius:8px;background:var(--card);color:inherit;cursor:pointer}
.filter{margin:.8rem 0 0;color:var(--soft)}
.trouble{list-style:none;margin:0;padding:0;display:grid;gap:.7rem}
.trouble>li{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--edge,var(--line));border-radius:10px;padding:.85rem 1rem}
.e-drifted{--edge:var(--warn)}.e-refused{--edge:var(--bad)}.e-forked{--edge:var(--odd)}.e-silent{--edge:var(--quiet)}
.who{display:flex;flex-wrap:wrap;align-items:baseline;gap:.15rem .8rem}
.who .name{font-weight:650;font-size:1.08rem;overflow-wrap:anywhere}
.who .badge{font-size:1.02rem}
.who .when{margin-left:auto;color:var(--soft);font-size:.88rem}
.meta{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;color:var(--soft);font-size:.88rem;margin:.25rem 0 0}
.meta>span{overflow-wrap:anywhere}
.why{margin:.55rem 0 0;overflow-wrap:anywhere}
.label{background:var(--code);border-radius:5px;padding:.05rem .4rem;font-size:.82rem;color:var(--soft);overflow-wrap:anywhere}
.flag{color:var(--warn);font-size:.86rem;font-weight:600}
.paths{list-style:none;margin:.5rem 0 0;padding:0;display:grid;gap:.15rem}
.paths li{display:flex;gap:.7rem;align-items:baseline}
.kind{flex:none;min-width:6.2rem;font-size:.85rem;color:var(--soft)}
details{margin:.5rem 0 0}
summary{cursor:pointer;color:var(--link);width:fit-content;padding:.1rem 0}
.found{margin:.6rem 0 0;display:grid;gap:.7rem;padding:0;list-style:none}
.panel>.found{margin-top:0}.panel>.found>li:first-child{border-top:0;padding-top:0}
.found>li{border-top:1px solid var(--line);padding-top:.6rem}
.found .path{font-weight:600}
.found dl{display:grid;align-items:baseline;grid-template-columns:max-content minmax(0,1fr);gap:.05rem .8rem;margin:.25rem 0 0;font-size:.92rem}
.found dt{color:var(--soft)}.found dd{margin:0}
table{width:100%;border-collapse:separate;background:var(--card);border:1px solid var(--line);border-radius:10px;border-spacing:0;overflow:hidden}
th{font-size:.8rem;font-weight:500;text-align:left;color:var(--soft);padding:.5rem .8rem;border-bottom:1px solid var(--line);white-space:nowrap}
td{padding:.5rem .8rem;border-top:1px solid var(--line);vertical-align:top}
tbody tr:first-child td{border-top:0}
td code{white-space:nowrap}
td .badge{margin-right:.7em}
td .soft,.soft{color:var(--soft)}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums}
time{font-variant-numeric:tabular-nums}
.rel{white-space:nowrap}.abs{color:var(--soft);font-size:.86em;white-space:nowrap}
.two{display:block;color:var(--soft);font-size:.86rem;overflow-wrap:anywhere}
.panel{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.9rem 1rem}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.8rem 1.5rem;margin:0}
.facts div{min-width:0}.facts dt{color:var(--soft);font-size:.82rem}.facts dd{margin:0;overflow-wrap:anywhere}
.note{border-left:5px solid var(--edge,var(--line));background:var(--card);border-radius:8px;padding:.6rem .9rem;margin:.6rem 0 0;border-top:1px solid var(--line);border-right:1px solid var(--line);border-bottom:1px solid var(--line)}
.notes{list-style:none;margin:0;padding:0}
pre{background:var(--code);border-radius:8px;padding:.8rem 1rem;overflow-x:auto;font:.88rem/1.5 var(--mono);margin:.5rem 0}
.steps{padding-left:1.3rem}.steps li{margin:.9rem 0}
footer{color:var(--soft);font-size:.85rem;padding-bottom:2.5rem}
footer a{color:inherit}
@media(max-width:46rem){
.top>div,main,footer{padding-left:.9rem;padding-right:.9rem}
.strip{grid-template-columns:repeat(4,1fr);gap:.4rem}
.strip a{padding:.45rem .5rem}.strip b{font-size:1.35rem}.strip .badge{font-size:.8rem;gap:.25em}
.who .when{margin-left:0;width:100%}
.paths li{flex-direction:column;gap:0;margin-top:.3rem}.kind{min-width:0}
table,tbody{display:block}thead{display:none}
tr{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem .8rem;padding:.6rem .8rem;border-top:1px solid var(--line)}
tbody tr:first-child{border-top:0}
td,tbody tr:first-child td{display:block;border:0;padding:0}
td.wide{grid-column:1/-1}
td:nth-child(n+3){font-size:.9rem;color:var(--soft)}
td.num{text-align:left}
td[data-name]::before{content:attr(data-name) " ";color:var(--soft);font-size:.86rem}
}
@media(max-width:24.5rem){.strip{grid-template-columns:repeat(2,1fr)}}
@media print{.find,footer{display:none}body{background:#fff}}
`;
