#include "data/tables/drug_name_words.h"

#include <algorithm>
#include <map>
#include <string>

namespace flame {
namespace {

// Phrases of one kind are parted by commas.
struct PhraseList {
  WordKind kind;
  std::string_view phrases;
};

// "so" and "sod" stand for sodium where a name abbreviates its salt.
constexpr PhraseList kLists[] = {
    {WordKind::kSalt,
     "hcl,hydrochloride,hydrochlorid,hydrochlor,dihydrochloride,sulfate,sulf,sulfat,sul,sulphate,"
     "bisulfate,bisulf,hydrobromide,hbr,bromide,brom,chloride,nitrate,phosphate,phos,acetate,acet,"
     "tartrate,tart,bitartrate,bitart,succinate,succ,suc,maleate,mal,malate,mesylate,mesyl,"
     "fumarate,fum,besylate,besyl,besilate,gluconate,gluc,lactate,citrate,cit,tosylate,pamoate,"
     "tromethamine,trometh,decanoate,dec,monohydrate,dihydrate,trihydrate,hemihydrate,hydrate,"
     "anhydrous,disodium,dipotassium,hyclate,lactobionate,ethylsuccinate,stearate,benzoate,"
     "oxalate,methylsulfate,methylsulf,edisylate,medoxomil,axetil,proxetil,etexilate,mofetil,"
     "isethionate,polacrilex,magnesium trihydrate,sod phosphate,sodium phosphate,"
     "sod phos,sodium phos,sodium succinate,sodium succ,sod succ,sod succinate,sodium phosphat,"
     "acetonide,dihydrate calcium,calcium trihydrate,calcium dihydrate,magnesium dihydrate,"
     "hemisulfate,butyrate,valerate,propionate,dipropionate,mononitrate,cypionate,enanthate,so,"
     "sod,pot,potass,benzathine,carbonate,meglumine,dimeglumine,arginine salt,"
     "lysine salt,hydrogen sulfate,salicylate,camsylate,ditosylate,napsylate,xinafoate,orotate,"
     "pivalate"},
    {WordKind::kCation, "sodium,potassium,na"},
    {WordKind::kElement, "calcium,magnesium,zinc,iron,aluminum,lithium"},
    {WordKind::kForm,
     "tab,tabs,tablet,tablets,tabl,cap,caps,capsule,capsules,chew,chewable,chewtab,"
     "dispersible,disintegrating,soluble tab,enteric coated,"
     "enteric,coated,extended release,delayed release,sustained release,immediate release,"
     "controlled release,ext rel,del rel,extended,release,delayed,sustained,part cryst,cryst,crys,"
     "crystals,tbec,tbcr,tbdp,tb24,tb12,tbsr,tber,tbef,chewtabs,cpep,cpdr,cp24,cp12,cpsr,cper,"
     "csdr,cpsp,subl,chtb,pt24,pt72,ptwk,pttw,pt16,tbmp,tbso,lozg,lozenge,lozenges,troche,soln,"
     "sol,solr,solp,soln recon,solution,susp,susr,suspension,suspr,elix,elixir,syrup,syrp,liquid,"
     "liqd,liq,conc,concentrate,drops,drop,emul,emulsion,oint,ointment,cream,crea,gel,lotion,lotn,"
     "foam,paste,pste,powder,powd,pwdr,pack,packet,packets,pkt,udpwd,granules,gran,grn,supp,"
     "suppository,suppositories,enema,enem,patch,patches,ptch,film,aero,aers,aerosol,aepb,nebu,"
     "neb,nebs,nebulizer,nebulization,inhaler,inhalation,inhalant,inhale,inh,mdi,dpi,hfa,spray,"
     "spry,swab,wash,mouthwash,rinse,shampoo,sham,jelly,kit,pad,oil,tincture,tinc,syrg,po,iv,ij,"
     "im,sc,sq,sl,td,re,rect,rectal,pr,mt,op,ophth,ophthalmic,ot,otic,ex,external,top,topical,"
     "nasal,intranasal,vag,vaginal,bq,bu,buccal,ng,ngt,og,peg tube,oral,orally,by mouth,injection,"
     "injectable,inj,inject,intravenous,intramuscular,subcutaneous,subcut,subq,sub q,sublingual,"
     "transdermal,epidural,intrathecal,oropharyngeal,mucous membrane,each nostril,in,for,per,of,"
     "the,to,via,vial,vials,sdv,mdv,amp,amps,ampul,ampule,ampoule,syr,syringe,syringes,syrng,"
     "carpuject,abboject,prefilled,pre filled,crtrdg,crtrdg ndl,cartridge,pen,flexpen,kwikpen,"
     "solostar,flextouch,bag,bags,btl,bottle,bot,cont,container,flex cont,flex,plas cont,"
     "plast cont,glass cont,plas,excel,tube,cup,ud,udc,unit dose,each,ea,jar,box,lvp,pb,"
     "piggy back,piggyback,ivpb,mbp,mini bag plus,mini bag,minibag,minibag plus,viaflex,galaxy,"
     "duplex,add vantage,addvantage,advantage,adv,vial mate,vialmate,premix,premixed,premade,prmx,"
     "rtu,rtu pb,rt,repackage,repack,frozen,intermittent,drip,gtt,infusion,infus,infuse,"
     "continuous,cont inf,bolus,push,ivp,final conc,final,total,mg pe,pe ml,i v,p o,i m,s c,s l,"
     "p r,p c a,pt own med,patient own med,patients own med,home med,inch,inches,applicator,"
     "titrate,titration,pca,range,orderable,locked dose,locked,dose,doses,dosing,corrective,"
     "correction,sliding scale,prn,once,daily,bid,tid,qid,qd,qhs,hs,bedtime,stat,now,peripheral,"
     "lok,lock,line,central,adult,pediatric,peds,ped,infant,child,children,childrens,"
     "extra strength,ex st,double strength,ds,maximum strength,max strength,regular strength,"
     "low dose,strength,pf,preservative free,mpf,preserv free,latex free,sugar free,sf,dye free,"
     "alcohol free,base,equiv,equivalent,as base,usp,nf,generic,brand,mg,mcg,ug,gm,gms,gram,grams,"
     "ml,mls,meq,mmol,mol,mosm,unit,units,unt,iu,mu,million,million units,mill,cc,kg,hr,hour,"
     "hours,min,act,actuation,puff,puffs,spray pump,percent,milligram,milligrams,ppm,liter,liters,"
     "elemental,elemental iron,elemental calcium,mg elemental,mg iodine,iodine ml,mg of iodine"},
    {WordKind::kRelease, "ec,er,sr,cr,xr,xl,dr,sa,la,tr,ir,cd,odt"},
    {WordKind::kUnit, "g,i,l,h,s,m,u,fe,mo,day,days,dos,x"},
    {WordKind::kJoin, "and,with,w"},
    {WordKind::kFluid,
     "lactated ringers,lactated ringer,ringers lactate,ringer lactate,ringers,lactated,"
     "lactated ringers solution,lr,d5lr,d5 lr,plasma lyte,plasma lyte a,plasmalyte,plasmalyte a,"
     "normosol,normosol r,isolyte,isolyte s,sterile water,water,water sterile,"
     "bacteriostatic water,sw,h2o,free water,tpn,ppn,parenteral nutrition,"
     "total parenteral nutrition"},
    {WordKind::kFlush, "flush,flushes"},
    {WordKind::kConsult, "consult,consultation,consults"},
    {WordKind::kFlavour,
     "orange,cherry,lemon,apple,banana,grape,peach,pear,plum,strawberry,raspberry,lime,pineapple,"
     "cherries,mango,tomato,potato,chicken,turkey,peanut,almond,honey,cocoa,cotton,rabbit,amber"}};

std::map<std::string, WordKind, std::less<>> Phrases() {
  std::map<std::string, WordKind, std::less<>> kinds;
  for (const auto& [kind, phrases] : kLists) {
    for (size_t begin = 0; begin < phrases.size();) {
      const size_t end = std::min(phrases.find(',', begin), phrases.size());
      kinds.emplace(phrases.substr(begin, end - begin), kind);
      begin = end + 1;
    }
  }
  return kinds;
}

const std::map<std::string, WordKind, std::less<>>& Kinds() {
  static const auto* kinds = new std::map(Phrases());
  return *kinds;
}

}  // namespace

WordKind WordKindOf(std::string_view phrase) {
  const auto found = Kinds().find(phrase);
  return found == Kinds().end() ? WordKind::kNone : found->second;
}

}  // namespace flame
