"use strict";
// What the sheet knows of answers, without the page: tested by itself. A state holds answers by trial: values by aspect, plays by side,
// seconds on the page, and a comment.
const Sheet = (() => {
  const FORMAT = "musiczoo-study-answers";
  const VERSION = 1;

  const emptyState = () => ({ answers: {}, page: 0 });

  const allowedValues = (study) => study.values;

  const answerOf = (state, trial) => (Object.hasOwn(state.answers, trial) ? state.answers[trial] : { values: {}, plays: {}, seconds: 0, comment: "" });

  const changed = (state, trial, change) => {
    const answer = { ...answerOf(state, trial) };
    change(answer);
    return { ...state, answers: { ...state.answers, [trial]: answer } };
  };

  const choose = (study, state, trial, aspect, value) => {
    if (!study.trials.some((row) => row.id === trial)) throw new Error(`no trial ${trial}`);
    if (!study.aspects.some((row) => row.name === aspect)) throw new Error(`no aspect ${aspect}`);
    if (!allowedValues(study).includes(value)) throw new Error(`no answer ${value}`);
    return changed(state, trial, (answer) => { answer.values = { ...answer.values, [aspect]: value }; });
  };

  const comment = (state, trial, text) => changed(state, trial, (answer) => { answer.comment = text; });

  const played = (state, trial, side) => changed(state, trial, (answer) => { answer.plays = { ...answer.plays, [side]: (answer.plays[side] || 0) + 1 }; });

  const spent = (state, trial, seconds) => changed(state, trial, (answer) => { answer.seconds = Math.round((answer.seconds + seconds) * 10) / 10; });

  // Aspects of a trial that have no answer yet.
  const openAspects = (study, state, trial) => study.aspects.map((row) => row.name).filter((name) => !Object.hasOwn(answerOf(state, trial).values, name));

  const status = (study, state, trial) => {
    const open = openAspects(study, state, trial).length;
    return open === 0 ? "done" : open < study.aspects.length ? "part" : "open";
  };

  // Numbers (from 1) of the trials that are not answered in full.
  const openTrials = (study, state) => study.trials.map((row, index) => [row.id, index + 1]).filter(([id]) => status(study, state, id) !== "done").map(([, number]) => number);

  const fileName = (study) => `answers-${study.participant}-${study.study}.json`;

  const exported = (study, state, now) => {
    const known = study.trials.map((row) => row.id).filter((id) => Object.hasOwn(state.answers, id));
    const answers = Object.fromEntries(known.map((id) => [id, state.answers[id]]));
    return JSON.stringify({ format: FORMAT, version: VERSION, study: study.study, participant: study.participant, exported: now, answers }, null, 1) + "\n";
  };

  // The state in a stored or exported text; an error says why it cannot be used.
  const restored = (study, text) => {
    let found;
    try { found = JSON.parse(text); } catch { throw new Error("This file is damaged: it is no JSON."); }
    if (found === null || typeof found !== "object" || found.format !== FORMAT || typeof found.answers !== "object" || found.answers === null) throw new Error("This file holds no answers of such a sheet.");
    if (found.study !== study.study || found.participant !== study.participant) throw new Error("These answers belong to another sheet.");
    let state = emptyState();
    for (const trial of study.trials) {
      const answer = Object.hasOwn(found.answers, trial.id) ? found.answers[trial.id] : null;
      if (answer === null || typeof answer !== "object") continue;
      for (const [aspect, value] of Object.entries(answer.values || {})) {
        if (study.aspects.some((row) => row.name === aspect) && allowedValues(study).includes(value)) state = choose(study, state, trial.id, aspect, value);
      }
      state = changed(state, trial.id, (row) => {
        row.plays = { ...(answer.plays || {}) };
        row.seconds = Number(answer.seconds) || 0;
        row.comment = typeof answer.comment === "string" ? answer.comment : "";
      });
    }
    return state;
  };

  return { emptyState, answerOf, choose, comment, played, spent, openAspects, status, openTrials, fileName, exported, restored };
})();
